//! The policy language as tables: every object, its fields, their types, bounds, defaults and meaning.
//!
//! One source for four readers: the checks of [`super::shape`], the policy's revision, the JSON Schema
//! and the reference page. What the tables cannot say (names that must be defined, routes that exclude
//! each other) is checked where the policy is compiled.

mod callers;
mod document;
mod limits;
mod settings;
mod tokens;
mod traffic;

pub use document::POLICY;

use super::forms;

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// A text without control characters, a number, `true` or `false`.
    Scalar,
    /// One of a few words, or a day of the month that every month has: 1 to 28.
    Day(&'static [Choice]),
    /// Text in a certain form.
    Text(&'static Form),
    /// One of a few words.
    Choice(&'static [Choice]),
    /// At least one value of a kind; texts and words not twice.
    List(&'static Kind),
    /// At least one member, each with a name of the author's choice.
    Map {
        /// The form of the names.
        names: &'static Form,
        /// The kind of the values.
        of: &'static Kind,
    },
    /// An object with known fields.
    Object(&'static Shape),
    /// A text or word in place of an object, or the object.
    Either {
        /// The short way to write it: a text or a choice.
        short: &'static Kind,
        /// The object.
        long: &'static Shape,
    },
}

/// A form of text. Forms are checked, and given their one canonical spelling, by a function.
#[derive(Debug)]
pub struct Form {
    /// What messages and the reference call it, with its article.
    pub name: &'static str,
    /// What it looks like, in words; empty in the filter.
    pub doc: &'static str,
    /// An ECMA-262 expression for editors. It may accept more than `check` does; empty in the filter.
    pub pattern: &'static str,
    /// Whether a text here may be a secret, which no message then repeats.
    pub secret: bool,
    /// Writes the canonical form of a text, or says what is wrong with it.
    pub(crate) check: forms::Check,
}

/// A word that a [`Kind::Choice`] takes.
#[derive(Debug)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// What it does; empty in the filter.
    pub doc: &'static str,
}

/// An object of the language.
#[derive(Debug)]
pub struct Shape {
    /// What messages and the reference call it, with its article: `a route`.
    pub name: &'static str,
    /// What it is for; empty in the filter.
    pub doc: &'static str,
    /// Its fields in the order of the reference.
    pub fields: &'static [Field],
    /// Which fields exclude or need each other.
    pub rules: &'static [Rule],
    /// Whether any text in it may be a secret that stands in the wrong place.
    pub secret: bool,
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds when it is left out.
    pub presence: Presence,
    /// What it means; empty in the filter.
    pub doc: &'static str,
}

/// What holds when a field is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It cannot be left out.
    Required,
    /// Nothing: it does not restrict or add anything.
    Optional,
    /// This value, as JSON text.
    Default(&'static str),
    /// The value of the field of this name beside it, up to the first slash.
    From(&'static str),
}

/// How the fields of an object depend on each other.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// One of these, and not two.
    ExactlyOne(&'static [&'static str]),
    /// One or more of these.
    AtLeastOne(&'static [&'static str]),
    /// The first has a meaning only beside the second.
    Needs(&'static str, &'static str),
}

/// The text in every build but the filter, where nobody reads it and every byte costs start-up time.
const fn prose(text: &'static str) -> &'static str {
    if cfg!(target_family = "wasm") { "" } else { text }
}

impl Form {
    pub(super) const fn new(
        name: &'static str,
        pattern: &'static str,
        check: forms::Check,
        doc: &'static str,
    ) -> Self {
        Self { name, doc: prose(doc), pattern: prose(pattern), secret: false, check }
    }
}

const fn word(word: &'static str, doc: &'static str) -> Choice {
    Choice { word, doc: prose(doc) }
}

const fn field(name: &'static str, presence: Presence, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, presence, doc: prose(doc) }
}

const fn shape(
    name: &'static str,
    fields: &'static [Field],
    rules: &'static [Rule],
    doc: &'static str,
) -> Shape {
    Shape { name, doc: prose(doc), fields, rules, secret: false }
}
