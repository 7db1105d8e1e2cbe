//! A document as it was written: its values, and the line and column of each.

use std::fmt;

/// A place in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Mark {
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

/// A value whose scalars are not resolved yet: what `010` is depends on who reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Tree>),
    /// Members as written: a name may stand there twice.
    Map(Vec<Member>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) value: Tree,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) style: Style,
}

/// How a scalar was written, as far as a reader cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes.
    Plain,
    /// With a tag such as `!!str`, quoted or not.
    Tagged,
    /// In quotes, folded (`>`), or with the tag `!`.
    Quoted,
    /// A literal block (`|`): its mark is that of its first character.
    Literal,
}

impl Tree {
    /// The member of that name in a map: the last, because readers let the last win.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.members().iter().rfind(|member| member.name == name).map(|member| &member.value)
    }

    /// The field of a protobuf message: in snake case as given, or in lower camel case.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.member(name).or_else(|| name.contains('_').then(|| self.member(&camel(name)))?)
    }

    /// Several fields, each within the one before.
    pub(crate) fn path(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |tree, name| tree.field(name))
    }

    pub(crate) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar as it was written, quoted or not.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// The text of the field, empty where there is none: protobuf knows no difference.
    pub(crate) fn field_text(&self, name: &str) -> &str {
        self.field(name).and_then(Self::text).unwrap_or("")
    }

    /// Whether the field says `true`.
    pub(crate) fn field_is_true(&self, name: &str) -> bool {
        self.field_text(name).eq_ignore_ascii_case("true")
    }

    /// Where a JSON pointer leads, or as far as it can be followed: the name of a member, an item.
    pub(crate) fn locate(&self, pointer: &str) -> Mark {
        let mut tree = self;
        let mut mark = self.mark;
        for step in pointer.split('/').skip(1) {
            match &tree.value {
                Value::List(items) => {
                    let item = step.parse().ok().and_then(|index: usize| items.get(index));
                    let Some(item) = item else { break };
                    (tree, mark) = (item, item.mark);
                }
                Value::Map(members) => {
                    let name = step.replace("~1", "/").replace("~0", "~");
                    let Some(member) = members.iter().rfind(|member| member.name == name) else {
                        break;
                    };
                    (tree, mark) = (&member.value, member.mark);
                }
                Value::Scalar(_) => break,
            }
        }
        mark
    }

    /// Gives every value and member another place.
    pub(crate) fn move_marks(&mut self, to: &impl Fn(Mark) -> Mark) {
        self.mark = to(self.mark);
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.move_marks(to)),
            Value::Map(members) => members.iter_mut().for_each(|member| {
                member.mark = to(member.mark);
                member.value.move_marks(to);
            }),
        }
    }

    /// Shows every value below this one, and this one, with its JSON pointer.
    ///
    /// Depth is bounded by whoever built the tree.
    pub(crate) fn visit<'t>(&'t self, pointer: &mut String, see: &mut impl FnMut(&str, &'t Self)) {
        see(pointer, self);
        let length = pointer.len();
        for (index, item) in self.items().iter().enumerate() {
            pointer.push('/');
            pointer.push_str(&index.to_string());
            item.visit(pointer, see);
            pointer.truncate(length);
        }
        for member in self.members() {
            pointer.push('/');
            pointer.push_str(&escape(&member.name));
            member.value.visit(pointer, see);
            pointer.truncate(length);
        }
    }
}

/// A member's name as one step of a JSON pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `use_remote_address` as `useRemoteAddress`: protobuf's JSON form takes either.
fn camel(name: &str) -> String {
    let mut upper = false;
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.push(character.to_ascii_uppercase());
        } else {
            out.push(character);
        }
    }
    out
}
