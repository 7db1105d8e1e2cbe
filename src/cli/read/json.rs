//! JSON text to a tree, for the places of its values.
//!
//! Whether the text is JSON is the core's business: this reads what the core has accepted.

use super::tree::{Mark, Member, Scalar, Style, Tree, Value};

/// How deep the text may be nested; the core accepts less.
const MAX_DEPTH: usize = 100;

/// Reads the places of a JSON text; `None` if it is not JSON after all.
pub(super) fn load(text: &str) -> Option<Tree> {
    Reader { text, at: 0, mark: Mark::START }.value(0)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    mark: Mark,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: usize) -> Option<Tree> {
        let next = self.peek()?;
        let mark = self.mark;
        let value = match next {
            _ if depth > MAX_DEPTH => return None,
            '[' => {
                let mut items = Vec::new();
                self.list(']', |reader| {
                    items.push(reader.value(depth.saturating_add(1))?);
                    Some(())
                })?;
                Value::List(items)
            }
            '{' => {
                let mut members = Vec::new();
                self.list('}', |reader| {
                    reader.peek()?;
                    let mark = reader.mark;
                    let name = reader.string()?;
                    reader.expect(':')?;
                    let value = reader.value(depth.saturating_add(1))?;
                    members.push(Member { name, mark, value });
                    Some(())
                })?;
                Value::Map(members)
            }
            '"' => Value::Scalar(Scalar { text: self.string()?, style: Style::Quoted }),
            _ => {
                let word = self.take(|c| !matches!(c, ',' | ']' | '}') && !c.is_whitespace());
                Value::Scalar(Scalar { text: word.to_owned(), style: Style::Plain })
            }
        };
        Some(Tree { mark, value })
    }

    /// Reads what stands between the brackets, one entry at a time.
    fn list(&mut self, end: char, mut entry: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.step();
        if self.peek()? == end {
            return self.expect(end);
        }
        loop {
            entry(self)?;
            match self.peek()? {
                ',' => self.step(),
                _ => return self.expect(end),
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.expect('"')?;
        let mut escaped = false;
        self.take(|c| {
            let goes_on = escaped || c != '"';
            escaped = !escaped && c == '\\';
            goes_on
        });
        self.expect('"')?;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn expect(&mut self, character: char) -> Option<()> {
        (self.peek()? == character).then(|| self.step())
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        self.take(|c| c.is_ascii_whitespace());
        self.rest().chars().next()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn take(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let taken = rest.get(..end).unwrap_or("");
        taken.chars().for_each(|c| self.advance(c));
        taken
    }

    fn step(&mut self) {
        if let Some(character) = self.rest().chars().next() {
            self.advance(character);
        }
    }

    fn advance(&mut self, character: char) {
        self.at = self.at.saturating_add(character.len_utf8());
        self.mark = match character {
            '\n' => Mark { line: self.mark.line.saturating_add(1), column: 1 },
            _ => Mark { column: self.mark.column.saturating_add(1), ..self.mark },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_of_every_value() {
        let text = "{\n\t\"a\": [1, {\"b\\\"\\ud83d\\ude00\": \"é\", \"c\": true}],\n  \"d\": {} }";
        let tree = load(text).unwrap_or(Tree { mark: Mark::START, value: Value::List(vec![]) });
        for (pointer, expected) in [
            ("/a", "2:2"),
            ("/a/0", "2:8"),
            ("/a/1/b\"😀", "2:12"),
            ("/a/1/c", "2:36"),
            ("/d", "3:3"),
        ] {
            assert_eq!(tree.locate(pointer).to_string(), expected, "{pointer}");
        }
        assert_eq!(tree.path(&["a"]).map(|list| list.items().len()), Some(2));
    }

    #[test]
    fn what_is_not_json_has_no_places() {
        for text in ["", "{", "[1", "{\"a\" 1}", "\"a", "{1: 2}"] {
            assert_eq!(load(text), None, "{text}");
        }
        assert_eq!(load(&"[".repeat(100_000)), None);
    }
}
