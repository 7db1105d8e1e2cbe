//! Holds a document against the grammar: every field, type, bound, word and form, every finding.

use super::diagnostic::{Report, Shown, code, looks_secret};
use super::grammar::{Choice, Form, Kind, POLICY, Presence, Rule, Shape};
use super::node::Node;
use super::place::Place;
use super::suggest;
use crate::sorted::sort;

/// Checks a whole document. What it reports, later steps pass over in silence.
pub(crate) fn check(document: &Node<'_>, report: &mut Report) {
    Checker { report, secret: false }.value(document, &Kind::Object(&POLICY), &Place::TOP);
}

struct Checker<'r> {
    report: &'r mut Report,
    /// Whether texts here may be secrets, which no message repeats.
    secret: bool,
}

impl Checker<'_> {
    // INVARIANT: recursion follows the grammar, not the document, and the grammar is a tree.
    fn value(&mut self, node: &Node<'_>, kind: &Kind, place: &Place<'_>) {
        match (kind, node) {
            (Kind::Bool, Node::Bool(_)) => {}
            (Kind::Integer { min, max }, Node::Number(number)) => {
                self.integer(*number, *min, *max, place);
            }
            (Kind::Text(form), Node::Text(text)) => self.text(text, form, place),
            (Kind::Choice(words), Node::Text(text)) => self.choice(text, words, place),
            (Kind::List(of), Node::List(items)) => self.list(items, of, place),
            (Kind::Map { names, of }, Node::Map(members)) => {
                if members.is_empty() {
                    self.empty("a map", place);
                }
                for (name, value) in members {
                    self.text(name, names, &place.field(name));
                    self.value(value, of, &place.field(name));
                }
            }
            (Kind::Object(shape), Node::Map(_)) => self.object(node, shape, place),
            (Kind::Either { long, .. }, Node::Map(_)) => self.object(node, long, place),
            (Kind::Either { short, .. }, Node::Text(_)) => self.value(node, short, place),
            _ => self.wrong_type(node, kind, place),
        }
    }

    fn integer(&mut self, number: f64, min: u32, max: u32, place: &Place<'_>) {
        let whole = number.fract() == 0.0;
        if !whole || number < f64::from(min) || number > f64::from(max) {
            let bounds = if min == max { format!("{min}") } else { format!("from {min} to {max}") };
            let what = if min == max { "the number" } else { "a whole number" };
            self.report.error(
                code::OUT_OF_BOUNDS,
                place,
                format_args!("must be {what} {bounds}"),
                "",
            );
        }
    }

    fn text(&mut self, text: &str, form: &Form, place: &Place<'_>) {
        if text.is_empty() {
            let message = format_args!("is an empty text where {} belongs", form.name);
            self.report.error(code::EMPTY, place, message, "");
        } else if let Err(fault) = (form.check)(text) {
            let message = fault.message(text, form);
            if self.secret && !form.secret {
                let message = format!("this text is not {}", form.name);
                self.report.error(fault.code, place, message, form_help(form, &fault.help));
            } else {
                self.report.error(fault.code, place, message, &fault.help);
            }
        }
    }

    fn choice(&mut self, text: &str, words: &[Choice], place: &Place<'_>) {
        if words.iter().any(|choice| choice.word == text) {
            return;
        }
        let known = words.iter().map(|choice| choice.word);
        if self.secret {
            let help = suggest::help("", known, "one of");
            self.report.error(
                code::UNKNOWN_WORD,
                place,
                "this text is none of the known words",
                help,
            );
        } else {
            let message = format!("{} is none of the known words", Shown(text));
            self.report.error(
                code::UNKNOWN_WORD,
                place,
                message,
                suggest::help(text, known, "one of"),
            );
        }
    }

    fn list(&mut self, items: &[Node<'_>], of: &Kind, place: &Place<'_>) {
        if items.is_empty() {
            self.empty("a list", place);
        }
        for (index, item) in items.iter().enumerate() {
            self.value(item, of, &place.item(index));
        }
        let spelling = |text| match of {
            Kind::Text(form) => (form.check)(text).ok(),
            Kind::Choice(_) => Some(text.into()),
            _ => None,
        };
        let mut texts: Vec<_> = (items.iter().enumerate())
            .filter_map(|(index, item)| Some((spelling(item.as_text()?)?, index)))
            .collect();
        sort(&mut texts);
        for pair in texts.windows(2) {
            let [(first, earlier), (second, later)] = pair else { continue };
            if first == second {
                let message = format!("is the same as entry {earlier}");
                self.report.error(
                    code::DUPLICATE_ENTRY,
                    &place.item(*later),
                    message,
                    "leave one out",
                );
            }
        }
    }

    fn object(&mut self, node: &Node<'_>, shape: &Shape, place: &Place<'_>) {
        let outer = self.secret;
        self.secret |= shape.secret;
        for (name, value) in node.members() {
            match shape.fields.iter().find(|field| field.name == name.as_ref()) {
                Some(field) => self.value(value, &field.kind, &place.field(name)),
                None => self.unknown_field(name, shape, place),
            }
        }
        for field in shape.fields {
            if field.presence == Presence::Required && node.member(field.name).is_none() {
                let message = format!("`{}` is missing", field.name);
                self.report.error(code::MISSING_FIELD, place, message, expected(&field.kind));
            }
        }
        for rule in shape.rules {
            self.rule(node, shape, rule, place);
        }
        self.secret = outer;
    }

    fn unknown_field(&mut self, name: &str, shape: &Shape, place: &Place<'_>) {
        let known = shape.fields.iter().map(|field| field.name);
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let plain = name.len() <= 32 && name.bytes().all(lower);
        if looks_secret(name) || (self.secret && !plain) {
            let message = format!("{} has no field of this name", shape.name);
            self.report.error(
                code::UNKNOWN_FIELD,
                place,
                message,
                suggest::help("", known, "fields"),
            );
        } else {
            let message = format!("{} has no field {}", shape.name, Shown(name));
            let help = suggest::help(name, known, "fields");
            self.report.error(code::UNKNOWN_FIELD, &place.field(name), message, help);
        }
    }

    fn rule(&mut self, node: &Node<'_>, shape: &Shape, rule: &Rule, place: &Place<'_>) {
        let is_there = |name: &&&str| node.member(name).is_some();
        let listed = |names: &[&str], with: &str| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(with)
        };
        match *rule {
            Rule::ExactlyOne(names) | Rule::AtLeastOne(names)
                if !names.iter().any(|name| is_there(&name)) =>
            {
                let message = format!("{} needs {}", shape.name, listed(names, " or "));
                self.report.error(code::MISSING_FIELD, place, message, "");
            }
            Rule::ExactlyOne(names) if names.iter().filter(is_there).count() > 1 => {
                let message = format!("{} takes only one of {}", shape.name, listed(names, ", "));
                self.report.error(code::FIELDS_CONFLICT, place, message, "leave the others out");
            }
            Rule::Needs(name, other) if is_there(&&name) && !is_there(&&other) => {
                let message = format!("has no effect without `{other}`");
                let help = format!("leave `{name}` out, or add `{other}`");
                self.report.error(code::FIELD_WITHOUT_EFFECT, &place.field(name), message, help);
            }
            _ => {}
        }
    }

    fn empty(&mut self, what: &str, place: &Place<'_>) {
        let help = "leave the field out, or say what belongs in it";
        self.report.error(code::EMPTY, place, format_args!("{what} must not be empty"), help);
    }

    fn wrong_type(&mut self, node: &Node<'_>, kind: &Kind, place: &Place<'_>) {
        let wants_text = matches!(kind, Kind::Text(_) | Kind::Choice(_) | Kind::Either { .. });
        let help = match node {
            Node::Null => "give it a value, or leave the field out",
            Node::Bool(_) if wants_text => {
                "put it in quotes: YAML takes words such as `NO`, `yes` and `off` for booleans"
            }
            Node::Number(_) if wants_text => "put it in quotes: YAML takes it for a number",
            Node::Text(_) if matches!(kind, Kind::Bool | Kind::Integer { .. }) => {
                "write it without quotes"
            }
            Node::Text(_) | Node::Map(_) if matches!(kind, Kind::List(_)) => {
                "a list it is even with one entry: put it in `[]`"
            }
            _ => "",
        };
        let message = format!("is {} where {} belongs", node.type_name(), expected(kind));
        self.report.error(code::WRONG_TYPE, place, message, help);
    }
}

/// The forms of secrets have their own help; for other texts beside a secret, the help that a check
/// gives may repeat the text.
fn form_help<'h>(form: &Form, help: &'h str) -> &'h str {
    if form.secret { help } else { "" }
}

/// What a kind is called.
fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "`true` or `false`",
        Kind::Integer { .. } => "a number",
        Kind::Text(form) => form.name,
        Kind::Choice(_) => "a word",
        Kind::List(_) => "a list",
        Kind::Map { .. } => "a map of names",
        Kind::Object(shape) => shape.name,
        Kind::Either { long, .. } => long.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn lines(document: &str) -> Vec<String> {
        let mut report = Report::default();
        let document = document.replace('\'', "\"");
        match Node::from_json(document.as_bytes()) {
            Ok(node) => check(&node, &mut report),
            Err(fault) => return vec![fault.to_string()],
        }
        report.finish().iter().map(ToString::to_string).collect()
    }

    /// Findings about a document that is otherwise good.
    fn with(members: &str) -> Vec<String> {
        let route = "{'name': 'r', 'paths': ['/'], 'methods': ['GET'], 'access': 'public'}";
        lines(&format!("{{'version': 1, 'gateway': 'g', 'routes': [{route}], {members}}}"))
    }

    #[test]
    fn every_finding_is_reported_with_its_place() {
        // row: C01, C02
        assert_eq!(
            lines(
                "{'version': '1', 'gatway': 'g', 'mode': 'observed', 'deny': [], 'realm': null, 'routes': {'a': 1}}"
            ),
            [
                "error[wrong_type] at /version: is a text where a number belongs (help: write it without quotes)",
                "error[unknown_field] at /gatway: the policy has no field `gatway` (help: did you mean `gateway`?)",
                "error[unknown_word] at /mode: `observed` is none of the known words (help: did you mean `observe`?)",
                "error[empty] at /deny: a list must not be empty (help: leave the field out, or say what belongs in it)",
                "error[wrong_type] at /realm: is empty where a realm belongs (help: give it a value, or leave the field out)",
                "error[wrong_type] at /routes: is an object where a list belongs (help: a list it is even with one entry: put it in `[]`)",
                "error[missing_field]: `gateway` is missing (help: a name)",
            ]
        );
        assert_eq!(lines("[]"), ["error[wrong_type]: is a list where the policy belongs"]);
    }

    #[test]
    fn values_that_yaml_made_of_a_text_say_to_quote_it() {
        assert_eq!(
            with("'networks': {'e': {'countries': [false, 10]}}"),
            [
                "error[wrong_type] at /networks/e/countries/0: is a boolean where a country belongs (help: put it in quotes: YAML takes words such as `NO`, `yes` and `off` for booleans)",
                "error[wrong_type] at /networks/e/countries/1: is a number where a country belongs (help: put it in quotes: YAML takes it for a number)",
            ]
        );
    }

    #[test]
    fn numbers_have_bounds() {
        // row: L07
        for number in ["0", "-1", "1.5", "1000001", "9223372036854775808", "1e308", "1e-12"] {
            let found = with(&format!(
                "'limits': {{'l': {{'key': ['route'], 'rate': '1/s', 'burst': {number}}}}}"
            ));
            let expected =
                "error[out_of_bounds] at /limits/l/burst: must be a whole number from 1 to 1000000";
            assert_eq!(found, [expected], "{number}");
        }
    }

    #[test]
    fn fields_depend_on_each_other() {
        let route = |members: &str| {
            with(&format!("'routes': [{{'name': 'r', 'methods': ['*'], {members}}}]"))
        };
        assert!(
            route("'paths': ['/'], 'access': 'deny'").len() == 1,
            "the second `routes` is a duplicate"
        );
        let route = |members: &str| {
            lines(&format!(
                "{{'version': 1, 'gateway': 'g', 'routes': [{{'name': 'r', 'methods': ['*'], {members}}}]}}"
            ))
        };
        assert_eq!(route("'paths': ['/'], 'access': 'deny'"), [""; 0]);
        assert_eq!(
            route(
                "'hosts': ['a'], 'envoy_routes': ['e'], 'access': 'public', 'credentials': ['api_key']"
            ),
            [
                "error[field_without_effect] at /routes/0/hosts: has no effect without `paths` (help: leave `hosts` out, or add `paths`)",
                "error[fields_conflict] at /routes/0: a route takes only one of `access`, `credentials` (help: leave the others out)",
            ]
        );
        assert_eq!(
            route("'paths': ['/a', '/b', '/a']"),
            [
                "error[duplicate_entry] at /routes/0/paths/2: is the same as entry 0 (help: leave one out)",
                "error[missing_field] at /routes/0: a route needs `access` or `credentials`",
            ]
        );
    }

    #[test]
    fn nothing_of_a_key_is_repeated() {
        // row: C07, K11
        let secret = "Sup3r-Secret";
        let found = with(&format!(
            "'consumers': [{{'name': 'c', 'api_keys': [{{'id': '{secret}!', 'sha256': '{secret}', 'state': '{secret}', 'scopes': ['{secret} x'], 'expires': '{secret}', '{secret}': 1, 'key': 2}}]}}], 'pcl_abc': 1"
        ));
        assert_eq!(
            found,
            [
                "error[bad_text] at /consumers/0/api_keys/0/id: this text is not an id (help: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit)",
                "error[key_plaintext] at /consumers/0/api_keys/0/sha256: this text is not the SHA-256 of a key: this may be the key itself, so it is not shown (help: `portcullis key hash` prints the digest of a key)",
                "error[unknown_word] at /consumers/0/api_keys/0/state: this text is none of the known words (help: one of: `active`, `retiring`, `revoked`)",
                "error[bad_text] at /consumers/0/api_keys/0/scopes/0: this text is not a scope",
                "error[bad_text] at /consumers/0/api_keys/0/expires: this text is not a time",
                "error[unknown_field] at /consumers/0/api_keys/0: an API key has no field of this name (help: fields: `id`, `sha256`, `state`, `not_before`, `expires`, `scopes`, `format`)",
                "error[unknown_field] at /consumers/0/api_keys/0/key: an API key has no field `key` (help: fields: `id`, `sha256`, `state`, `not_before`, `expires`, `scopes`, `format`)",
                "error[unknown_field]: the policy has no field of this name (help: fields: `version`, `gateway`, `realm`, `mode`, `client_address`, `country_header`, `api_key`, `identity_headers`, `strip_headers`, `networks`, `deny`, `roles`, `consumers`, `limits`, `global_limits`, `routes`)",
            ]
        );
    }
}
