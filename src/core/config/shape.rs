//! Holds a document against the grammar: every field, type, bound, word and form, every finding.
//!
//! On the way the document is written out once more in canonical form, for the policy's revision: the
//! fields in the grammar's order without those that say what holds anyway, texts in their canonical
//! form, the members of maps and the entries of lists sorted, since no list of the language has an
//! order that matters. Every value tells where it ends, so no two meanings are written alike.

mod faults;

use std::ops::Range;

use super::diagnostic::{Report, code};
use super::forms;
use super::grammar::{Choice, Field, Form, Kind, POLICY, Presence, Shape};
use super::place::Place;
use crate::authn::claim_value::decimal;
use crate::node::Node;
use crate::sorted::{rank_of, sort_by_rank};

/// Ends an object in the canonical form; no object has so many fields.
const END: u8 = 0xff;
/// Begins a word in place of an object in the canonical form.
const WORD: u8 = 0xfe;

/// Checks a whole document and gives its canonical form. What is reported here, later steps pass over
/// in silence.
pub(crate) fn check(document: &Node<'_>, report: &mut Report) -> Vec<u8> {
    let mut checker = Checker { report, secret: false, out: Vec::new() };
    checker.value(document, &Kind::Object(&POLICY), &Place::TOP);
    checker.out
}

struct Checker<'r> {
    report: &'r mut Report,
    /// Whether texts here may be secrets, which no message repeats.
    secret: bool,
    /// The canonical form so far; without meaning once there is an error.
    out: Vec<u8>,
}

impl Checker<'_> {
    // INVARIANT: recursion follows the grammar, not the document, and the grammar is a tree.
    fn value(&mut self, node: &Node<'_>, kind: &Kind, place: &Place<'_>) {
        match (kind, node) {
            (Kind::Bool, Node::Bool(value)) => self.out.push(u8::from(*value)),
            (Kind::Integer { min, max }, Node::Number(number)) => {
                self.integer(*number, *min, *max, place);
            }
            (Kind::Text(form), Node::Text(text)) => self.text(text, form, place),
            (Kind::Scalar, Node::Text(_) | Node::Number(_) | Node::Bool(_)) => {
                self.scalar(node, place);
            }
            (Kind::Choice(words), Node::Text(text)) => self.choice(text, words, place),
            (Kind::Day(_), Node::Number(number)) => {
                self.out.push(b'n');
                self.integer(*number, 1, 28, place);
            }
            (Kind::Day(words), Node::Text(text)) => {
                self.out.push(b't');
                self.choice(text, words, place);
            }
            (Kind::List(of), Node::List(items)) => self.list(items, of, place),
            (Kind::Map { names, of }, Node::Map(_)) => self.map(node, names, of, place),
            (Kind::Object(shape), Node::Map(_)) => self.object(node, shape, place),
            (Kind::Either { long, .. }, Node::Map(_)) => self.object(node, long, place),
            (Kind::Either { short, .. }, Node::Text(_)) => self.short(node, short, place),
            _ => self.wrong_type(node, kind, place),
        }
    }

    /// A text in place of an object is the object with its first field alone; a word is itself.
    fn short(&mut self, node: &Node<'_>, kind: &Kind, place: &Place<'_>) {
        let is_field = matches!(kind, Kind::Text(_));
        self.out.push(if is_field { 0 } else { WORD });
        self.value(node, kind, place);
        self.out.push(END);
    }

    fn integer(&mut self, number: f64, min: u32, max: u32, place: &Place<'_>) {
        self.out.extend(number.to_bits().to_le_bytes());
        let whole = number.fract() == 0.0;
        if !whole || number < f64::from(min) || number > f64::from(max) {
            let bounds = if min == max { format!("{min}") } else { format!("from {min} to {max}") };
            let what = if min == max { "the number" } else { "a whole number" };
            let message = format_args!("must be {what} {bounds}");
            self.report.error(code::OUT_OF_BOUNDS, place, message, "");
        }
    }

    fn text(&mut self, text: &str, form: &Form, place: &Place<'_>) {
        let start = self.begin();
        if text.is_empty() {
            let message = format_args!("is an empty text where {} belongs", form.name);
            self.report.error(code::EMPTY, place, message, "");
        } else if let Err(fault) = (form.check)(text, &mut self.out) {
            self.bad_text(text, form, &fault, place);
        }
        self.end(start);
    }

    fn scalar(&mut self, node: &Node<'_>, place: &Place<'_>) {
        match node {
            Node::Number(number) => {
                self.out.push(b'n');
                self.out.extend(number.to_bits().to_le_bytes());
                if decimal(*number).is_none() {
                    let message =
                        "is too large, or has too many digits, to be told from its neighbours";
                    let help = "ask the issuer for a text";
                    self.report.error(code::OUT_OF_BOUNDS, place, message, help);
                }
            }
            Node::Bool(flag) => self.out.extend([b'b', u8::from(*flag)]),
            _ => {
                self.out.push(b't');
                self.text(node.as_text().unwrap_or_default(), &forms::TEXT, place);
            }
        }
    }

    fn choice(&mut self, text: &str, words: &[Choice], place: &Place<'_>) {
        let start = self.begin();
        self.out.extend_from_slice(text.as_bytes());
        self.end(start);
        if !words.iter().any(|choice| choice.word == text) {
            self.unknown_word(text, words, place);
        }
    }

    fn list(&mut self, items: &[Node<'_>], of: &Kind, place: &Place<'_>) {
        if items.is_empty() {
            self.empty("a list", place);
        }
        let start = self.begin();
        let mut entries = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let before = self.out.len();
            self.value(item, of, &place.item(index));
            entries.push((before..self.out.len(), index));
        }
        self.sort(start, &mut entries);
        if matches!(of, Kind::Text(_) | Kind::Choice(_) | Kind::Scalar) {
            self.report_equal(&entries, place);
        }
        self.end(start);
    }

    fn map(&mut self, node: &Node<'_>, names: &Form, of: &Kind, place: &Place<'_>) {
        if node.members().is_empty() {
            self.empty("a map", place);
        }
        let start = self.begin();
        let mut entries = Vec::with_capacity(node.members().len());
        for (name, value) in node.members() {
            let before = self.out.len();
            self.text(name, names, &place.field(name));
            self.value(value, of, &place.field(name));
            entries.push((before..self.out.len(), 0));
        }
        self.sort(start, &mut entries);
        self.end(start);
    }

    fn object(&mut self, node: &Node<'_>, shape: &Shape, place: &Place<'_>) {
        let outer = self.secret;
        self.secret |= shape.secret;
        let known = |name: &str| shape.fields.iter().any(|field| field.name == name);
        for (name, _) in node.members().iter().filter(|(name, _)| !known(name)) {
            self.unknown_field(name, shape, place);
        }
        for (position, field) in (0_u8..).zip(shape.fields) {
            match node.member(field.name) {
                Some(value) => {
                    let start = self.out.len();
                    self.out.push(position);
                    self.value(value, &field.kind, &place.field(field.name));
                    if self.says_nothing(node, field, value, start.saturating_add(1)) {
                        self.out.truncate(start);
                    }
                }
                None if field.presence == Presence::Required => self.missing(field, place),
                None => {}
            }
        }
        self.out.push(END);
        for rule in shape.rules {
            self.rule(node, shape, rule, place);
        }
        self.secret = outer;
    }

    /// Whether a field says what would hold without it. What it says is written from `start` on.
    fn says_nothing(
        &self,
        object: &Node<'_>,
        field: &Field,
        value: &Node<'_>,
        start: usize,
    ) -> bool {
        match field.presence {
            Presence::Optional if let Kind::Day(words) = &field.kind => {
                let first = words.first().map(|choice| choice.word);
                *value == Node::Number(1.0) || value.as_text().is_some_and(|day| Some(day) == first)
            }
            Presence::Required | Presence::Optional => false,
            Presence::From(other) => {
                let text = object.member(other).and_then(Node::as_text).unwrap_or_default();
                let text = text.split('/').next().unwrap_or_default();
                match value {
                    // Read as it is written, whole: reading fractions is 16 KB of the module.
                    Node::Number(number) => {
                        let count = text.parse::<u32>().ok().map(f64::from);
                        count.map(f64::to_bits) == Some(number.to_bits())
                    }
                    _ => value.as_text() == Some(text),
                }
            }
            Presence::Default(json) => match (value, Node::from_json(json.as_bytes())) {
                (Node::Text(_) | Node::Bool(_), default) => Ok(value) == default.as_ref(),
                (_, Ok(default)) => {
                    let mut report = Report::default();
                    let mut other = Checker { report: &mut report, secret: false, out: Vec::new() };
                    other.value(&default, &field.kind, &Place::TOP);
                    self.out.get(start..) == Some(other.out.as_slice())
                }
                (_, Err(_)) => false,
            },
        }
    }

    /// Leaves room for the length of what is written until [`Self::end`].
    fn begin(&mut self) -> usize {
        self.out.extend([0; 4]);
        self.out.len()
    }

    fn end(&mut self, start: usize) {
        let length = u32::try_from(self.out.len().saturating_sub(start)).unwrap_or(u32::MAX);
        let place = start.checked_sub(4).and_then(|at| self.out.get_mut(at..start));
        if let Some(place) = place {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Puts the entries that were written from `start` on into an order that depends on their bytes
    /// alone: that of a number made from them, for entries begin alike more often than not.
    fn sort(&mut self, start: usize, entries: &mut [(Range<usize>, usize)]) {
        if entries.len() < 2 {
            return;
        }
        let bytes = &self.out;
        let text = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        sort_by_rank(entries, |(a, _)| spread(text(a)), |(a, _), (b, _)| text(a).cmp(text(b)));
        let mut sorted = Vec::with_capacity(bytes.len().saturating_sub(start));
        for (range, _) in entries.iter_mut() {
            let before = sorted.len();
            sorted.extend_from_slice(bytes.get(range.clone()).unwrap_or_default());
            *range = before.saturating_add(start)..sorted.len().saturating_add(start);
        }
        self.out.truncate(start);
        self.out.append(&mut sorted);
    }

    /// Reports texts that stand twice in a sorted list.
    fn report_equal(&mut self, entries: &[(Range<usize>, usize)], place: &Place<'_>) {
        // Nothing was written for a text that is wrong, but its length: that was reported.
        let written =
            |range: &Range<usize>| self.out.get(range.clone()).filter(|text| text.len() > 4);
        for pair in entries.windows(2) {
            let [(first, earlier), (second, later)] = pair else { continue };
            if written(first).is_some_and(|first| Some(first) == written(second)) {
                let message = format!("is the same as entry {earlier}");
                let place = place.item(*later);
                self.report.error(code::DUPLICATE_ENTRY, &place, message, "leave one out");
            }
        }
    }
}

/// A number that is the same for the same bytes and rarely for others.
fn spread(bytes: &[u8]) -> u64 {
    // Odd and without a pattern: the golden ratio of 2^64.
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    mix(hash, rank_of(rest))
}

#[cfg(test)]
mod tests;
