//! YAML text to trees: every document of a stream, aliases copied, depth and copies bounded.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::Fault;
use super::tree::{Mark, Member, Scalar, Style, Tree, Value};

/// How deep a document may be nested, aliases followed.
const MAX_DEPTH: usize = 100;

/// How many values all aliases of a stream may copy: a few lines of aliases to aliases would
/// otherwise fill any memory.
const MAX_COPIED: usize = 1_000_000;

/// Reads every document of a YAML stream.
pub(super) fn load(text: &str) -> Result<Vec<Tree>, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| Fault::NotParsable(mark(*error.marker()), error.info().to_owned()))?;
        builder.event(event, mark_of(span))?;
    }
    Ok(builder.documents)
}

fn mark_of(span: Span) -> Mark {
    mark(span.start)
}

fn mark(marker: saphyr_parser::Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col().saturating_add(1) }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Tree>,
    open: Vec<Open>,
    /// Finished values that have an anchor, by the parser's number for it.
    anchors: HashMap<usize, Tree>,
    copied: usize,
}

/// A list or map whose end has not been seen.
struct Open {
    mark: Mark,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Tree>),
    Map(Vec<Member>, Option<Key>),
}

struct Key {
    name: String,
    mark: Mark,
    /// Envoy drops the members whose key has the tag `!ignore`; they only carry anchors.
    ignored: bool,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let style = style_of(style, tag);
                let value = Value::Scalar(Scalar { text: text.into_owned(), style });
                self.finish(Tree { mark, value }, anchor, tag.is_some_and(is_ignore))
            }
            Event::SequenceStart(anchor, _) => {
                self.start(Open { mark, anchor, content: Content::List(Vec::new()) })
            }
            Event::MappingStart(anchor, _) => {
                self.start(Open { mark, anchor, content: Content::Map(Vec::new(), None) })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let value = match open.content {
                    Content::List(items) => Value::List(items),
                    Content::Map(members, _) => Value::Map(members),
                };
                self.finish(Tree { mark: open.mark, value }, open.anchor, false)
            }
            Event::Alias(anchor) => self.alias(anchor, mark),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(&mut self, open: Open) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(open.mark));
        }
        if let Some(Open { content: Content::Map(_, None), .. }) = self.open.last() {
            return Err(Fault::NotParsable(open.mark, "a list or map as a key".to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<(), Fault> {
        let Some(tree) = self.anchors.get(&anchor) else {
            let message = "an alias inside of what it stands for".to_owned();
            return Err(Fault::NotParsable(mark, message));
        };
        let (values, height) = measure(tree);
        self.copied = self.copied.saturating_add(values);
        if self.copied > MAX_COPIED {
            let message = format!("aliases that stand for more than {MAX_COPIED} values");
            return Err(Fault::NotParsable(mark, message));
        }
        if self.open.len().saturating_add(height) > MAX_DEPTH {
            return Err(too_deep(mark));
        }
        let copy = tree.clone();
        self.finish(copy, 0, false)
    }

    /// Puts a finished value where it belongs: in the list or map that is open, or as a document.
    fn finish(&mut self, tree: Tree, anchor: usize, ignored: bool) -> Result<(), Fault> {
        if anchor != 0 {
            let (values, _) = measure(&tree);
            self.copied = self.copied.saturating_add(values);
            self.anchors.insert(anchor, tree.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(tree),
            Some(Content::List(items)) => items.push(tree),
            Some(Content::Map(members, key)) => match key.take() {
                Some(Key { ignored: true, .. }) => {}
                Some(Key { name, mark, .. }) => members.push(Member { name, mark, value: tree }),
                None => {
                    let mark = tree.mark;
                    let Value::Scalar(Scalar { text: name, .. }) = tree.value else {
                        let message = "a list or map as a key".to_owned();
                        return Err(Fault::NotParsable(mark, message));
                    };
                    *key = Some(Key { name, mark, ignored });
                }
            },
        }
        Ok(())
    }
}

fn too_deep(mark: Mark) -> Fault {
    Fault::NotParsable(mark, format!("nested more than {MAX_DEPTH} levels deep"))
}

/// How many values a tree holds, and how many levels; its depth is bounded already.
fn measure(tree: &Tree) -> (usize, usize) {
    let children =
        tree.items().iter().chain(tree.members().iter().map(|member| &member.value)).map(measure);
    let (values, height) = children.fold((1_usize, 0), |(values, height), (more, below)| {
        (values.saturating_add(more), height.max(below))
    });
    match tree.value {
        Value::Scalar(_) => (values, 0),
        Value::List(_) | Value::Map(_) => (values, height.saturating_add(1)),
    }
}

fn is_ignore(tag: &Tag) -> bool {
    tag.handle == "!" && tag.suffix == "ignore"
}

fn style_of(style: ScalarStyle, tag: Option<&Tag>) -> Style {
    match (tag, style) {
        (Some(tag), _) if tag.handle.is_empty() && tag.suffix == "!" => Style::Quoted,
        (Some(_), _) => Style::Tagged,
        (None, ScalarStyle::Plain) => Style::Plain,
        (None, ScalarStyle::Literal) => Style::Literal,
        (None, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted | ScalarStyle::Folded) => {
            Style::Quoted
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::config::Node;

    use super::super::scalar::Dialect;
    use super::*;

    fn first(text: &str) -> Tree {
        load(text)
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or_else(|| Tree { mark: Mark::START, value: Value::List(Vec::new()) })
    }

    fn fault(text: &str) -> String {
        match load(text) {
            Ok(documents) => format!("{} documents", documents.len()),
            Err(Fault::NotParsable(mark, message)) => format!("{mark}: {message}"),
            Err(Fault::Unreadable(message)) => message,
        }
    }

    #[test]
    fn marks_lead_to_names_and_items() {
        let tree = first("a:\n  - b: 1\n    c/d: 2\n  - x\n");
        for (pointer, expected) in [
            ("", "1:1"),
            ("/a", "1:1"),
            ("/a/0", "2:5"),
            ("/a/0/c~1d", "3:5"),
            ("/a/1", "4:5"),
            ("/a/0/missing", "2:5"),
            ("/a/9/x", "1:1"),
        ] {
            assert_eq!(tree.locate(pointer).to_string(), expected, "{pointer}");
        }
    }

    #[test]
    fn aliases_are_copied_and_bounded() {
        let tree = first("a: &x [1, &y k]\n*y : *x\n!ignore z: *x\n");
        let list = Node::List(vec![Node::Number(1.0), Node::Text("k".into())]);
        let expected = Node::Map(vec![("a".into(), list.clone()), ("k".into(), list)]);
        assert_eq!(tree.node(Dialect::Envoy), expected);
        assert_eq!(fault("a: &x [*x]"), "1:8: an alias inside of what it stands for");
        let laughs: Vec<String> = (1..12)
            .map(|level| {
                format!("l{level}: &l{level} [{}]\n", format!("*l{},", level - 1).repeat(9))
            })
            .collect();
        assert!(
            fault(&format!("l0: &l0 [x]\n{}", laughs.concat()))
                .contains("stand for more than 1000000")
        );
        let ladder: Vec<String> =
            (1..40).map(|level| format!("l{level}: &l{level} [[[*l{}]]]\n", level - 1)).collect();
        assert!(
            fault(&format!("l0: &l0 [x]\n{}", ladder.concat())).contains("nested more than 100")
        );
    }

    #[test]
    fn depth_is_bounded() {
        // row: C05
        assert!(fault(&format!("{}a", "- ".repeat(100_000))).contains("nested more than 100"));
        assert!(fault(&"[".repeat(100_000)).starts_with("1:"));
    }

    #[test]
    fn keys_are_scalars() {
        assert!(fault("? [a]\n: b").contains("a list or map as a key"));
        assert!(fault("a: &x [1]\n*x : b").contains("a list or map as a key"));
    }

    #[test]
    fn a_stream_holds_documents() {
        assert_eq!(fault("a: 1\n---\nb: 2\n---\n"), "3 documents");
        assert_eq!(fault("# nothing\n"), "0 documents");
        assert!(fault("a: [").starts_with("2:"));
    }
}
