//! Writing JSON: the few forms that audit records and problem bodies need, in ASCII only.

use crate::authn::key_text;
use crate::bytes::ByteSet;
use crate::time::two_digits;

/// Longest text of one member, in bytes of its source; what is longer is cut and marked.
pub(crate) const MAX_TEXT: usize = 512;

/// Printable ASCII but for the quote and the backslash: what stands in JSON as it is.
static PLAIN: ByteSet = ByteSet::of(
    b" !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~",
);

/// The same without the underscore, without which no text holds a key.
static KEYLESS: ByteSet = ByteSet::of(
    b" !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^`abcdefghijklmnopqrstuvwxyz{|}~",
);

/// The name of a member as it is written: behind a comma, in quotes, with a colon, and the quote that
/// begins a text.
#[derive(Clone, Copy)]
pub(crate) struct Member(pub(crate) &'static str);

/// A [`Member`], put together by the compiler: a record has many, and each is written in one piece. Names
/// are ours and hold nothing that JSON escapes.
macro_rules! member {
    ($name:literal) => {
        $crate::json::Member(concat!(",\"", $name, "\":\""))
    };
}
pub(crate) use member;

/// Writes one JSON object, member by member.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    #[inline]
    pub(crate) fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Members of an object apart from it, for [`Self::written`].
    pub(crate) fn members(write: impl FnOnce(&mut Object<'_>)) -> Box<[u8]> {
        let mut out = Vec::with_capacity(256);
        write(&mut Object { out: &mut out, empty: false });
        out.into()
    }

    /// The first members of an object as they stand in it.
    #[inline]
    pub(crate) fn begun(&mut self, members: &[u8]) -> &mut Self {
        self.empty = false;
        self.out.extend_from_slice(members);
        self
    }

    /// Members that were written before. The object has others already.
    #[inline]
    pub(crate) fn written(&mut self, members: &[u8]) {
        self.out.extend_from_slice(members);
    }

    #[inline]
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// A text of any bytes; no member at all for `None`.
    pub(crate) fn text(&mut self, name: Member, value: Option<&[u8]>) -> &mut Self {
        if let Some(value) = value {
            self.begin(name.0);
            string_after_quote(self.out, value);
        }
        self
    }

    /// A word that holds nothing that JSON escapes: one of ours, or a name that a policy can give.
    #[inline]
    pub(crate) fn word(&mut self, name: Member, word: &str) -> &mut Self {
        self.plain(name, |out| out.extend_from_slice(word.as_bytes()))
    }

    /// The same for a list; no member at all for an empty one.
    #[inline]
    pub(crate) fn words<'t>(
        &mut self,
        name: Member,
        words: impl Iterator<Item = &'t str>,
    ) -> &mut Self {
        let mut words = words.peekable();
        if words.peek().is_some() {
            list(self.member(name), words, |out, word| {
                out.push(b'"');
                out.extend_from_slice(word.as_bytes());
                out.push(b'"');
            });
        }
        self
    }

    /// A text that holds nothing that JSON escapes, written in place.
    #[inline]
    pub(crate) fn plain(&mut self, name: Member, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.begin(name.0);
        write(self.out);
        self.out.push(b'"');
        self
    }

    /// A text that a caller chose. A key that strayed into it is not repeated.
    pub(crate) fn callers(&mut self, name: Member, value: Option<&[u8]>) -> &mut Self {
        let Some(value) = value else { return self };
        if value.len() <= MAX_TEXT && KEYLESS.has_all(value) {
            return self.plain(name, |out| out.extend_from_slice(value));
        }
        let value = value.get(..=MAX_TEXT).unwrap_or(value);
        self.text(name, Some(&key_text::without_keys(value)))
    }

    #[inline]
    pub(crate) fn number(&mut self, name: Member, value: u64) -> &mut Self {
        push_number(self.member(name), value);
        self
    }

    #[inline]
    pub(crate) fn flag(&mut self, name: Member, value: bool) -> &mut Self {
        if value {
            self.member(name).extend_from_slice(b"true");
        }
        self
    }

    /// A list of texts; no member at all for an empty one.
    pub(crate) fn texts<'t>(
        &mut self,
        name: Member,
        values: impl Iterator<Item = &'t str>,
    ) -> &mut Self {
        let mut values = values.peekable();
        if values.peek().is_some() {
            let out = self.member(name);
            list(out, values, |out, value| string(out, value.as_bytes()));
        }
        self
    }

    /// A list of objects; no member at all for an empty one.
    #[inline]
    pub(crate) fn objects<T>(
        &mut self,
        name: Member,
        values: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Object<'_>, T),
    ) -> &mut Self {
        let mut values = values.peekable();
        if values.peek().is_some() {
            list(self.member(name), values, |out, value| {
                let mut object = Object::open(out);
                write(&mut object, value);
                object.close();
            });
        }
        self
    }

    /// Begins a member that is no text.
    #[inline]
    fn member(&mut self, Member(name): Member) -> &mut Vec<u8> {
        self.begin(name.strip_suffix('"').unwrap_or(name));
        self.out
    }

    #[inline]
    fn begin(&mut self, name: &str) {
        let name = if self.empty { name.strip_prefix(',').unwrap_or(name) } else { name };
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
    }
}

fn list<T>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (position, value) in values.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

/// A string in ASCII: everything but plain printable characters is escaped (RFC 8259 section 7), so
/// that no reader of a log line can be misled. Bytes that are not UTF-8 become U+FFFD; a text longer
/// than [`MAX_TEXT`] ends in `...` after the cut.
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    string_after_quote(out, text);
}

fn string_after_quote(out: &mut Vec<u8>, text: &[u8]) {
    let (kept, cut) = match text.split_at_checked(MAX_TEXT) {
        Some((kept, rest)) if !rest.is_empty() => (kept, true),
        _ => (text, false),
    };
    if PLAIN.has_all(kept) {
        out.extend_from_slice(kept);
    } else {
        for chunk in kept.utf8_chunks() {
            chunk.valid().chars().for_each(|character| push(out, character));
            if !chunk.invalid().is_empty() {
                push(out, char::REPLACEMENT_CHARACTER);
            }
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

/// Writes a number in decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, value: u64) {
    match value {
        0..100 => {
            let [tens, ones] = two_digits(value);
            if value >= 10 {
                out.push(tens);
            }
            out.push(ones);
        }
        100..10_000 => {
            push_number(out, value / 100);
            out.extend_from_slice(&two_digits(value % 100));
        }
        10_000.. => push_long_number(out, value),
    }
}

fn push_long_number(out: &mut Vec<u8>, value: u64) {
    // Division of 64 bits costs several times that of 32, and few numbers need it.
    let Ok(mut rest) = u32::try_from(value) else {
        push_number(out, value / 1_000_000_000);
        // The lower nine digits behind a one, which keeps their zeros.
        let start = out.len();
        push_number(out, (value % 1_000_000_000).saturating_add(1_000_000_000));
        out.remove(start);
        return;
    };
    let mut digits = [0; 10];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' | u8::try_from(rest % 10).unwrap_or(0);
        start = start.saturating_sub(1);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn push(out: &mut Vec<u8>, character: char) {
    match u8::try_from(character) {
        Ok(byte) if PLAIN.has(byte) => out.push(byte),
        Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    let digit = char::from_digit(u32::from(*unit >> shift & 0x0f), 16);
                    out.push(digit.and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0'));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn written(text: &[u8]) -> String {
        let mut out = Vec::new();
        string(&mut out, text);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn hostile_text_stays_inside_its_string() {
        // A01
        for text in [
            "a\r\nb",
            "\u{1b}[31m",
            "\0",
            "\u{2028}\u{2029}",
            "\u{202e}x\u{2066}",
            "\",\"outcome\":\"allowed",
            "\\",
            "\u{e9}\u{1f512}",
            "\u{7f}",
        ] {
            let line = written(text.as_bytes());
            assert!(line.is_ascii() && line.bytes().all(|byte| byte >= b' '), "{line}");
            let back: Result<String, _> = serde_json::from_str(&line);
            assert_eq!(back.ok().as_deref(), Some(text));
        }
        assert_eq!(written(b"a\xff\xfeb"), "\"a\\ufffd\\ufffdb\"");
    }

    #[test]
    fn every_length_up_to_the_cut_is_valid() {
        // A06, A07
        for filler in ["\"", "\\", "\u{1}", "\u{e9}"] {
            for length in 0..600 {
                let line = written(filler.repeat(length).as_bytes());
                let back: String =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(back.ends_with("..."), filler.len() * length > MAX_TEXT);
            }
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        let ends = (0..64).flat_map(|bit| [1_u64 << bit, u64::MAX >> bit]);
        let tens = (0..20).map(|power| 10_u64.pow(power)).flat_map(|ten| [ten - 1, ten, ten + 1]);
        for number in (0..20_000).chain(ends).chain(tens) {
            let mut out = b"x".to_vec();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out), Ok(format!("x{number}")));
        }
    }

    #[test]
    fn objects_are_objects() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object
            .text(member!("a"), Some(b"x"))
            .text(member!("b"), None)
            .number(member!("n"), u64::MAX)
            .number(member!("z"), 0);
        object
            .flag(member!("f"), false)
            .flag(member!("t"), true)
            .texts(member!("l"), ["p", "q"].into_iter());
        object.texts(member!("e"), [].into_iter()).objects(
            member!("o"),
            [1, 2].into_iter(),
            |inner, value| {
                inner.number(member!("v"), value);
            },
        );
        object.words(member!("w"), ["v"].into_iter()).words(member!("x"), [].into_iter());
        object.word(member!("y"), "z").plain(member!("p"), |out| out.extend_from_slice(b"q"));
        object.close();
        let expected = r#"{"a":"x","n":18446744073709551615,"z":0,"t":true,"l":["p","q"],"o":[{"v":1},{"v":2}],"w":["v"],"y":"z","p":"q"}"#;
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    }
}
