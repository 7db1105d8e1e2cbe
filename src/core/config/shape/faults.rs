//! What the shape of a document can have against it, in words.

use super::Checker;
use crate::config::diagnostic::{Shown, code, looks_secret};
use crate::config::forms;
use crate::config::grammar::{Choice, Field, Form, Kind, Rule, Shape};
use crate::config::place::Place;
use crate::config::suggest;
use crate::node::Node;

impl Checker<'_> {
    pub(super) fn bad_text(
        &mut self,
        text: &str,
        form: &Form,
        fault: &forms::Fault,
        place: &Place<'_>,
    ) {
        if self.secret && !form.secret {
            // Beside a secret, help might repeat the text.
            let message = format_args!("this text is not {}", form.name);
            self.report.error(fault.code, place, message, "");
        } else {
            self.report.error(fault.code, place, fault.message(text, form), &fault.help);
        }
    }

    pub(super) fn unknown_word(&mut self, text: &str, words: &[Choice], place: &Place<'_>) {
        let known = words.iter().map(|choice| choice.word);
        if self.secret {
            let message = "this text is none of the known words";
            self.report.error(
                code::UNKNOWN_WORD,
                place,
                message,
                suggest::help("", known, "one of"),
            );
        } else {
            let message = format!("{} is none of the known words", Shown(text));
            let help = suggest::help(text, known, "one of");
            self.report.error(code::UNKNOWN_WORD, place, message, help);
        }
    }

    pub(super) fn missing(&mut self, field: &Field, place: &Place<'_>) {
        let message = format_args!("`{}` is missing", field.name);
        self.report.error(code::MISSING_FIELD, place, message, expected(&field.kind));
    }

    pub(super) fn unknown_field(&mut self, name: &str, shape: &Shape, place: &Place<'_>) {
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

    pub(super) fn rule(&mut self, node: &Node<'_>, shape: &Shape, rule: &Rule, place: &Place<'_>) {
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

    pub(super) fn empty(&mut self, what: &str, place: &Place<'_>) {
        let help = "leave the field out, or say what belongs in it";
        self.report.error(code::EMPTY, place, format_args!("{what} must not be empty"), help);
    }

    pub(super) fn wrong_type(&mut self, node: &Node<'_>, kind: &Kind, place: &Place<'_>) {
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

/// What a kind is called.
fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "`true` or `false`",
        Kind::Integer { .. } => "a number",
        Kind::Scalar => "a text, a number, `true` or `false`",
        Kind::Text(form) => form.name,
        Kind::Choice(_) => "a word",
        Kind::Day(_) => "a day",
        Kind::List(_) => "a list",
        Kind::Map { .. } => "a map of names",
        Kind::Object(shape) => shape.name,
        Kind::Either { long, .. } => long.name,
    }
}
