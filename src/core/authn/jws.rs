//! A signed token as text: the compact serialization of RFC 7515 section 7.1 and nothing else.
//!
//! Nothing in a header is obeyed: it may name an algorithm and a key, and the key decides whether they
//! fit. Keys and addresses of keys in a header refuse the token.

use std::rc::Rc;

use super::algorithm::Algorithm;
use super::base64url;
use super::fault::Fault;
use crate::bytes::same;
use crate::node::Node;
use crate::reason::Denial;

/// Longest token unless the policy says otherwise, in bytes.
pub(crate) const DEFAULT_SIZE: usize = 8_192;
/// Longest key id, in bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// Header members that change what a token means, or bring a key along. RFC 7515 section 4.1.11 would
/// let us obey some; none is needed, and each has let forged tokens pass somewhere.
const REFUSED: [(&str, &str); 9] = [
    ("crit", "the header has `crit`"),
    ("b64", "the header has `b64`"),
    ("zip", "the header has `zip`"),
    ("enc", "the header is one of an encrypted token"),
    ("jwk", "the header brings a key along"),
    ("jku", "the header names a key set's address"),
    ("x5u", "the header names a certificate's address"),
    ("x5c", "the header brings certificates along"),
    ("epk", "the header is one of an encrypted token"),
];
/// Members that are ignored, provided that they are texts.
const TEXTS: [&str; 4] = ["typ", "cty", "x5t", "x5t#S256"];

/// A token taken apart. Nothing in it is verified. Not printable: it is a credential.
pub struct Jws<'t> {
    /// What `alg` says.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<Rc<str>>,
    /// `typ`.
    pub kind: Option<Rc<str>>,
    /// Header and payload as they were received, with the dot between them: what was signed.
    pub signed: &'t [u8],
    /// The claims, as JSON text.
    pub payload: Vec<u8>,
    /// The signature, in JOSE's form.
    pub signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart; longer ones than `max` bytes are not looked at.
    ///
    /// # Errors
    /// `token_malformed`, or `token_algorithm` where `alg` names none that exists here.
    pub fn parse(text: &'t [u8], max: usize) -> Result<Self, Fault> {
        Self::parse_after(text, max, &LastHeader::default())
    }

    /// The same, where the header may be the last one again.
    pub(crate) fn parse_after(
        text: &'t [u8],
        max: usize,
        last: &LastHeader,
    ) -> Result<Self, Fault> {
        if text.len() > max {
            return Err(Fault::malformed("longer than the policy allows"));
        }
        let known = last.of(text);
        let parts = Parts::read(text, known.map(|(_, rest)| rest)).map_err(|why| {
            match text.split(|byte| *byte == b'.').count() {
                3 => Fault::malformed(why),
                _ => Fault::malformed("not three parts with dots between them"),
            }
        })?;
        let header = match known {
            Some((header, _)) => header.clone(),
            None => Header::parse(&parts.header)?,
        };
        let Header { algorithm, key_id, kind } = header;
        let Parts { signed, payload, signature, .. } = parts;
        Ok(Self { algorithm, key_id, kind, signed, payload, signature })
    }
}

/// The header of the last token that was good: those of an issuer's tokens are the same bytes from one
/// token to the next.
#[derive(Default)]
pub(crate) struct LastHeader(Option<(Box<[u8]>, Header)>);

impl LastHeader {
    /// Keeps the header of a token that was verified.
    pub(crate) fn keep(&mut self, jws: &Jws<'_>) {
        if self.of(jws.signed).is_some() {
            return;
        }
        let text = jws.signed.split(|byte| *byte == b'.').next().unwrap_or_default();
        let (algorithm, key_id, kind) = (jws.algorithm, jws.key_id.clone(), jws.kind.clone());
        self.0 = Some((text.into(), Header { algorithm, key_id, kind }));
    }

    /// The header, if a token has this very one, and what stands after its dot.
    fn of<'t>(&self, token: &'t [u8]) -> Option<(&Header, &'t [u8])> {
        let (text, header) = self.0.as_ref()?;
        let (start, rest) = token.split_at_checked(text.len())?;
        Some((header, rest.strip_prefix(b".").filter(|_| same(start, text))?))
    }
}

/// The three parts of a token, and the first two as they stand in it.
struct Parts<'t> {
    /// Nothing where it is known.
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Reads every part up to the first character that is none of base64url's, so that every byte is
    /// looked at once. `rest` is what stands after a header that is known.
    ///
    /// # Errors
    /// Which part is not base64url, provided that there are three.
    fn read(text: &'t [u8], rest: Option<&[u8]>) -> Result<Self, &'static str> {
        let part = |text| base64url::decode_start(text).filter(|(bytes, _)| !bytes.is_empty());
        let and_dot =
            |text| part(text).and_then(|(bytes, rest)| Some((bytes, rest.strip_prefix(b".")?)));
        let (header, rest) = match rest {
            Some(rest) => (Vec::new(), rest),
            None => and_dot(text).ok_or("the header is not base64url")?,
        };
        let (payload, last) = and_dot(rest).ok_or("the payload is not base64url")?;
        let signature = part(last).filter(|(_, rest)| rest.is_empty());
        let (signature, _) = signature.ok_or("the signature is not base64url")?;
        let signed = text.len().saturating_sub(last.len().saturating_add(1));
        let signed = text.get(..signed).unwrap_or_default();
        Ok(Self { header, payload, signature, signed })
    }
}

/// What is read of a header.
#[derive(Clone)]
struct Header {
    algorithm: Algorithm,
    key_id: Option<Rc<str>>,
    kind: Option<Rc<str>>,
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, Fault> {
        let header = Node::read(text).ok_or(Fault::malformed("the header is not JSON"))?;
        if !matches!(header, Node::Map(_)) {
            return Err(Fault::malformed("the header is not an object"));
        }
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| header.member(name).is_some()) {
            return Err(Fault::malformed(why));
        }
        if TEXTS.iter().any(|name| matches!(text_member(&header, name), Err(NotText))) {
            return Err(Fault::malformed("a member of the header is not a text"));
        }
        let kind = text_member(&header, "typ").unwrap_or_default();
        let content = text_member(&header, "cty").unwrap_or_default().unwrap_or_default();
        if subtype(content).eq_ignore_ascii_case("jwt") {
            return Err(Fault::malformed("the payload is another token"));
        }
        let key_id = match text_member(&header, "kid") {
            Ok(None) => None,
            Ok(Some(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Some(id.into()),
            _ => return Err(Fault::malformed("`kid` is not a text of 1 to 256 bytes")),
        };
        let algorithm = match text_member(&header, "alg") {
            Ok(Some(name)) => Algorithm::parse(name),
            Ok(None) | Err(NotText) => None,
        };
        let algorithm = algorithm.ok_or(Fault::new(
            Denial::TokenAlgorithm,
            "`alg` is missing or names no algorithm that can be allowed",
        ))?;
        Ok(Self { algorithm, key_id, kind: kind.map(Rc::from) })
    }
}

/// A member that is there and of another type. Wrong type is never absent.
struct NotText;

fn text_member<'n>(node: &'n Node<'_>, name: &str) -> Result<Option<&'n str>, NotText> {
    node.member(name).map(|value| value.as_text().ok_or(NotText)).transpose()
}

/// A media type without the `application/` that may be left out (RFC 7515 section 4.1.9).
pub(crate) fn subtype(media_type: &str) -> &str {
    match media_type.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::base64url::encode;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(b"signature"))
    }

    fn parse(text: &str) -> Result<Jws<'_>, Denial> {
        Jws::parse(text.as_bytes(), DEFAULT_SIZE).map_err(|fault| fault.denial)
    }

    fn header(text: &str) -> Result<(), Denial> {
        parse(&token(text)).map(|_| ())
    }

    #[test]
    fn what_was_received_is_what_was_signed() {
        // J35: the header of RFC 7515 appendix A.1 has CRLF and spaces between its members.
        let text = token("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\", \"kid\":\"a b\"}");
        let jws = parse(&text).unwrap_or_else(|denial| panic!("{denial:?}"));
        assert_eq!(jws.algorithm, Algorithm::Hs256);
        assert_eq!((jws.kind.as_deref(), jws.key_id.as_deref()), (Some("JWT"), Some("a b")));
        assert_eq!((&jws.payload[..], &jws.signature[..]), (&b"{}"[..], &b"signature"[..]));
        assert_eq!(text.as_bytes()[..text.len() - 13], *jws.signed);
    }

    #[test]
    fn the_last_header_is_only_itself() {
        let mut last = LastHeader::default();
        let good = token(r#"{"alg":"HS256","kid":"a","typ":"JWT"}"#);
        last.keep(&parse(&good).unwrap_or_else(|denial| panic!("{denial:?}")));
        let good_header = good.split('.').next().unwrap_or_default();
        let again = |text: &str| {
            let seen = |jws: Result<Jws<'_>, Fault>| {
                jws.map(|jws| {
                    let kid = jws.key_id.as_deref().map(str::to_owned);
                    let kind = jws.kind.as_deref().map(str::to_owned);
                    (jws.algorithm, kid, kind, jws.signed.to_vec(), jws.payload, jws.signature)
                })
            };
            let after = Jws::parse_after(text.as_bytes(), DEFAULT_SIZE, &last);
            let alone = seen(Jws::parse(text.as_bytes(), DEFAULT_SIZE));
            assert_eq!(seen(after), alone, "{text}");
            alone.is_ok()
        };
        assert!(again(&good) && again(&format!("{good_header}.W10.cw")));
        assert!(again(&token(r#"{"alg":"HS256","kid":"b","typ":"JWT"}"#)));
        assert!(again(&token(r#"{"alg":"HS256"}"#)));
        for bad in [
            good_header.to_owned(),
            format!("{good_header}."),
            format!("{good_header}.."),
            format!("{good_header}A.e30.cw"),
            format!("{good_header}=.e30.cw"),
            format!("{good_header}.e30.cw.cw"),
            format!("{good_header}.e30.c"),
            format!("{good_header}.e3.cw"),
            format!("{good_header}.e30.cw="),
            format!("={good_header}.e30.cw"),
            format!(".{good_header}.e30"),
            format!("{}.e30.cw", good_header.replacen('e', "E", 1)),
        ] {
            assert!(!again(&bad), "{bad}");
        }
    }

    #[test]
    fn the_fault_names_the_part() {
        let why =
            |text: &str| Jws::parse(text.as_bytes(), DEFAULT_SIZE).err().map(|fault| fault.why);
        let header = encode(br#"{"alg":"HS256"}"#);
        let three = Some("not three parts with dots between them");
        for text in ["=", "", "=.e30", "=.=.=.=", "e30.e30.cw.", "e30.e30.cw.="] {
            assert_eq!(why(text), three, "{text}");
        }
        for (text, part) in [
            ("=.=.=", "the header is not base64url"),
            (".e30.cw", "the header is not base64url"),
            ("A.e30.cw", "the header is not base64url"),
            ("e30.=.=", "the payload is not base64url"),
            ("e30..cw", "the payload is not base64url"),
            ("e30.e31.cw", "the payload is not base64url"),
            ("e30.e30.", "the signature is not base64url"),
            ("e30.e30.c", "the signature is not base64url"),
            ("e30.e30.cw=", "the signature is not base64url"),
            // The header is read last.
            ("AA.e30.cw=", "the signature is not base64url"),
            ("AA.e30.cw", "the header is not JSON"),
        ] {
            assert_eq!(why(text), Some(part), "{text}");
        }
        assert_eq!(why(&format!("{header}.e30.cw")), None);
    }

    #[test]
    fn three_parts_and_none_empty() {
        // J21, J23
        for text in [
            "",
            ".",
            "..",
            "...",
            "a..b",
            ".e30.cw",
            "e30.e30.",
            "e30.e30",
            "e30.e30.cw.",
            "e30..e30.cw",
            "e30.e30.cw.x",
            "a.b.c.d.e",
            "....",
            ".e30.e30.cw",
        ] {
            assert_eq!(parse(text).err(), Some(Denial::TokenMalformed), "{text}");
        }
        // J01: an empty signature has no form, whatever `alg` says.
        let unsigned = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
        assert_eq!(parse(&unsigned).err(), Some(Denial::TokenMalformed));
    }

    #[test]
    fn size_is_bounded_before_anything_else() {
        // J24
        assert!(parse(&".".repeat(100_000)).is_err());
        assert!(Jws::parse(&vec![b'.'; 1 << 20], 65_536).is_err());
        let fill = |length: usize| {
            let head = format!("{}.", encode(br#"{"alg":"ES256"}"#));
            format!("{head}{}.c2ln", "A".repeat(length - head.len() - 5))
        };
        let ok = |length| parse(&fill(length)).is_ok();
        assert!(ok(DEFAULT_SIZE) && !ok(DEFAULT_SIZE + 4));
        let why = Jws::parse(fill(DEFAULT_SIZE + 1).as_bytes(), DEFAULT_SIZE).err();
        assert_eq!(why.map(|fault| fault.why), Some("longer than the policy allows"));
    }

    #[test]
    fn every_part_has_one_spelling() {
        // J26, J27, J28, J29
        let good = token(r#"{"alg":"ES256"}"#);
        let parts: Vec<&str> = good.split('.').collect();
        for position in 0..3 {
            let spellings: [&dyn Fn(&str) -> String; 8] = [
                &|part| format!("{part}="),
                &|part| format!("{part}=="),
                &|part| format!("{part} "),
                &|part| format!("\t{part}"),
                &|part| format!("{part}\n"),
                &|part| format!("{}?{}", &part[..1], &part[1..]),
                &|part| format!("{}\0{}", &part[..1], &part[1..]),
                &|part| format!("+{}", &part[1..]),
            ];
            for spelling in spellings {
                let mut other: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
                other[position] = spelling(parts[position]);
                let other = other.join(".");
                assert_eq!(parse(&other).err(), Some(Denial::TokenMalformed), "{other}");
            }
        }
    }

    #[test]
    fn algorithms_that_are_none() {
        // J01, J02, J03, J04
        for value in [
            "\"none\"",
            "\"None\"",
            "\"NONE\"",
            "\"nOnE\"",
            "\"none \"",
            "\"n\\u006fne\"",
            "\"\"",
            "null",
            "256",
            "[\"RS256\"]",
            "{}",
            "true",
            "\"rs256\"",
            "\"RS256 \"",
            "\"RS2566\"",
            "\"ES256K\"",
            "\"ES512\"",
            "\"Ed448\"",
        ] {
            let text = format!("{{\"alg\":{value}}}");
            assert_eq!(header(&text), Err(Denial::TokenAlgorithm), "{text}");
        }
        assert_eq!(header("{}"), Err(Denial::TokenAlgorithm));
        assert_eq!(header("{\"alg\":\"RS256\"}"), Ok(()));
    }

    #[test]
    fn a_header_is_one_strict_object() {
        // J32
        for text in [
            "[]",
            "\"alg\"",
            "1",
            "null",
            "",
            "{",
            "\u{feff}{\"alg\":\"RS256\"}",
            "{\"alg\":\"RS256\"} x",
            "{\"alg\":\"RS256\"}{}",
            "{\"alg\":\"RS256\",}",
            "{\"alg\":\"RS256\"/**/}",
            "{\"alg\":\"RS256\",\"a\":NaN}",
            "{'alg':'RS256'}",
            "{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
            "{\"alg\":\"RS256\",\"a\":{\"b\":1,\"b\":1}}",
            "{\"alg\":\"none\",\"alg\":\"RS256\"}",
            "{\"alg\":\"RS256\",\"a\":\"\\ud800\"}",
        ] {
            assert_eq!(header(text), Err(Denial::TokenMalformed), "{text}");
        }
        let deep = format!("{{\"alg\":\"RS256\",\"a\":{}}}", "[".repeat(2_000));
        assert_eq!(header(&deep), Err(Denial::TokenMalformed));
        let utf16: Vec<u8> =
            "{\"alg\":\"RS256\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let text = format!("{}.e30.cw", encode(&utf16));
        assert_eq!(parse(&text).err(), Some(Denial::TokenMalformed));
        assert_eq!(header("{\"alg\":\"RS256\",\"unknown\":[1,{}]}"), Ok(()));
    }

    #[test]
    fn nothing_in_a_header_is_followed() {
        // J10, J11, J12, J19, J20
        for member in [
            "\"crit\":[]",
            "\"crit\":[\"exp\"]",
            "\"b64\":true",
            "\"b64\":false",
            "\"b64\":null",
            "\"zip\":\"DEF\"",
            "\"jwk\":{}",
            "\"jwk\":null",
            "\"jku\":\"https://evil.example\"",
            "\"x5u\":\"https://evil.example\"",
            "\"x5c\":[]",
            "\"enc\":\"A128GCM\"",
            "\"cty\":\"JWT\"",
            "\"cty\":\"jwt\"",
            "\"cty\":\"application/JWT\"",
            "\"cty\":1",
            "\"typ\":1",
            "\"typ\":null",
            "\"x5t\":[]",
        ] {
            let text = format!("{{\"alg\":\"RS256\",{member}}}");
            assert_eq!(header(&text), Err(Denial::TokenMalformed), "{text}");
        }
        assert_eq!(header(r#"{"alg":"RS256","x5t":"AQ","cty":"application/json"}"#), Ok(()));
    }

    #[test]
    fn a_key_id_is_a_short_text() {
        // J15, J16
        for value in ["1", "null", "[]", "{}", "true", "\"\""] {
            let text = format!("{{\"alg\":\"RS256\",\"kid\":{value}}}");
            assert_eq!(header(&text), Err(Denial::TokenMalformed), "{text}");
        }
        let of = |length: usize| {
            header(&format!("{{\"alg\":\"RS256\",\"kid\":\"{}\"}}", "k".repeat(length)))
        };
        assert_eq!((of(MAX_KEY_ID), of(MAX_KEY_ID + 1)), (Ok(()), Err(Denial::TokenMalformed)));
        for value in ["../../dev/null", "' OR 1=1--", "a\\u0000", "a\\r\\nX: y"] {
            assert_eq!(header(&format!("{{\"alg\":\"RS256\",\"kid\":\"{value}\"}}")), Ok(()));
        }
    }
}
