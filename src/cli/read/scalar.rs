//! What a scalar without quotes is, which depends on who reads the file.

use std::borrow::Cow;

use portcullis_core::config::Node;

use super::tree::{Scalar, Style, Tree, Value};

/// Whose rules turn plain scalars into booleans and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Envoy's own YAML reader: yaml-cpp's booleans and integers, everything else is text. A
    /// number of a `Struct` is an integer of 32 bits, a larger one arrives as text.
    Envoy,
    /// JSON, and what Kubernetes makes of YAML before it becomes JSON: numbers of any size.
    Json,
}

impl Tree {
    /// The value as its reader hands it on: of two members of one name the last.
    pub(crate) fn node(&self, dialect: Dialect) -> Node<'_> {
        match &self.value {
            Value::Scalar(scalar) => resolve(scalar, dialect),
            Value::List(items) => Node::List(items.iter().map(|item| item.node(dialect)).collect()),
            Value::Map(members) => {
                let last = super::duplicates::last_of_each(members);
                Node::Map(
                    last.map(|member| (Cow::Borrowed(member.name.as_str()), &member.value))
                        .map(|(name, value)| (name, value.node(dialect)))
                        .collect(),
                )
            }
        }
    }
}

fn resolve(scalar: &Scalar, dialect: Dialect) -> Node<'_> {
    let text = scalar.text.as_str();
    let as_text = Node::Text(Cow::Borrowed(text));
    match (scalar.style, dialect) {
        (Style::Quoted | Style::Literal, _) | (Style::Tagged, Dialect::Json) => return as_text,
        // Envoy asks for the tag `!` only: `!!str NO` is a boolean to it all the same.
        (Style::Tagged, Dialect::Envoy) => {}
        (Style::Plain, _) => {
            if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
                return Node::Null;
            }
        }
    }
    if let Some(value) = boolean(text) {
        return Node::Bool(value);
    }
    match (dialect, integer(text, dialect)) {
        (Dialect::Envoy, None) => as_text,
        (Dialect::Envoy, Some(value)) => i32::try_from(value).map_or_else(
            |_| Node::Text(Cow::Owned(value.to_string())),
            |small| Node::Number(f64::from(small)),
        ),
        (Dialect::Json, Some(value)) => Node::Number(nearest(value)),
        (Dialect::Json, None) => float(text).map_or(as_text, Node::Number),
    }
}

#[expect(clippy::cast_precision_loss, reason = "JSON readers round such numbers as well")]
const fn nearest(value: i64) -> f64 {
    value as f64
}

/// YAML 1.1's booleans, in lower case, upper case or with one capital.
fn boolean(text: &str) -> Option<bool> {
    let tail = text.get(1..)?;
    let one_case = text.chars().all(|c| c.is_ascii_lowercase())
        || text.chars().all(|c| c.is_ascii_uppercase())
        || tail.chars().all(|c| c.is_ascii_lowercase());
    if !one_case {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// Integers as C reads them: `010` is octal, `0x1f` hexadecimal.
fn integer(text: &str, dialect: Dialect) -> Option<i64> {
    let plain = match dialect {
        Dialect::Envoy => Cow::Borrowed(text),
        // Kubernetes' reader drops underscores wherever the text begins like a number.
        Dialect::Json if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') => {
            Cow::Owned(text.replace('_', ""))
        }
        Dialect::Json => return None,
    };
    let (negative, unsigned) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let hexadecimal = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let octal = unsigned.strip_prefix('0').filter(|rest| !rest.is_empty());
    let (digits, radix) = match (hexadecimal, octal) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) => (digits, 8),
        (None, None) => (unsigned, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    i64::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix).ok()
}

fn float(text: &str) -> Option<f64> {
    let numeric = text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
    numeric.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, dialect: Dialect) -> String {
        let scalar = Scalar { text: text.to_owned(), style: Style::Plain };
        match resolve(&scalar, dialect) {
            Node::Null => "null".to_owned(),
            Node::Bool(value) => value.to_string(),
            Node::Number(value) => value.to_string(),
            Node::Text(text) => format!("'{text}'"),
            Node::List(_) | Node::Map(_) => "not a scalar".to_owned(),
        }
    }

    #[test]
    fn scalars_resolve_as_their_reader_resolves_them() {
        // The second column was observed in Envoy 1.40.0.
        for (text, envoy, json) in [
            ("NO", "false", "false"),
            ("yes", "true", "true"),
            ("Off", "false", "false"),
            ("y", "true", "true"),
            ("nO", "'nO'", "'nO'"),
            ("", "null", "null"),
            ("~", "null", "null"),
            ("Null", "null", "null"),
            ("nil", "'nil'", "'nil'"),
            ("tRUE", "'tRUE'", "'tRUE'"),
            ("00", "0", "0"),
            ("-010", "-8", "-8"),
            ("0x", "'0x'", "'0x'"),
            ("0o17", "'0o17'", "'0o17'"),
            ("1 2", "'1 2'", "'1 2'"),
            ("-2147483649", "'-2147483649'", "-2147483649"),
            ("010", "8", "8"),
            ("08", "'08'", "8"),
            ("-0x1f", "-31", "-31"),
            ("+5", "5", "5"),
            ("1e3", "'1e3'", "1000"),
            ("0.5", "'0.5'", "0.5"),
            ("2147483647", "2147483647", "2147483647"),
            ("2147483648", "'2147483648'", "2147483648"),
            ("0x100000000", "'4294967296'", "4294967296"),
            ("9223372036854775808", "'9223372036854775808'", "9223372036854776000"),
            ("1_000", "'1_000'", "1000"),
            (".inf", "'.inf'", "'.inf'"),
            ("2026-12-01T00:00:00Z", "'2026-12-01T00:00:00Z'", "'2026-12-01T00:00:00Z'"),
            ("100/s", "'100/s'", "'100/s'"),
            ("é", "'é'", "'é'"),
        ] {
            assert_eq!(plain(text, Dialect::Envoy), envoy, "`{text}` in Envoy");
            assert_eq!(plain(text, Dialect::Json), json, "`{text}` in Kubernetes");
        }
    }

    #[test]
    fn quotes_keep_a_scalar_text() {
        for style in [Style::Quoted, Style::Literal] {
            let scalar = Scalar { text: "NO".to_owned(), style };
            assert_eq!(resolve(&scalar, Dialect::Envoy), Node::Text(Cow::Borrowed("NO")));
        }
        let tagged = Scalar { text: "NO".to_owned(), style: Style::Tagged };
        assert_eq!(resolve(&tagged, Dialect::Envoy), Node::Bool(false));
        assert_eq!(resolve(&tagged, Dialect::Json), Node::Text(Cow::Borrowed("NO")));
    }
}
