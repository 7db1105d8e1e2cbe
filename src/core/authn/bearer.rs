//! What a value of `Authorization` is to a policy that takes tokens.

/// What stands there.
#[cfg_attr(test, derive(Debug))]
#[derive(PartialEq, Eq)]
pub(crate) enum Bearer<'r> {
    Token(&'r [u8]),
    /// A scheme is `Bearer`, and what follows is not a space and a text; or it does not stand at the
    /// start.
    Malformed,
    /// Not a credential of the policy's: none of its business.
    OtherScheme,
}

/// Reads a value of `Authorization`: the scheme in any case, spaces, the token (RFC 9110 section 11.4,
/// RFC 6750 section 2.1).
///
/// Envoy hands two lines over as one with a comma between them, and an upstream may drop what it takes
/// for white space in front of a value, bytes beyond ASCII among it: a token that would be read there
/// must not pass as somebody else's credential.
#[inline]
pub(crate) fn bearer(value: &[u8]) -> Bearer<'_> {
    if let Some(rest) = after_scheme(value) {
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        return match rest.get(spaces..) {
            Some(token) if spaces > 0 && !token.is_empty() => Bearer::Token(token),
            _ => Bearer::Malformed,
        };
    }
    let hidden = value.split(|byte| *byte == b',').any(|line| {
        let odd = line.iter().take_while(|byte| !is_token(**byte)).count();
        line.get(odd..).and_then(after_scheme).is_some()
    });
    if hidden { Bearer::Malformed } else { Bearer::OtherScheme }
}

/// What follows the scheme `Bearer` at the start of a text.
#[inline]
fn after_scheme(text: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = text.split_first_chunk()?;
    // Of every letter two bytes have this bit added: its two cases.
    let is_bearer = scheme.map(|byte| byte | 0x20) == *b"bearer";
    let ends_here = !rest.first().is_some_and(|byte| is_token(*byte));
    (is_bearer && ends_here).then_some(rest)
}

/// A character of a token (RFC 9110 section 5.6.2).
#[inline]
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_bearer_token_stands_behind_its_scheme() {
        // J65
        for value in ["Bearer t", "bearer t", "BEARER t", "Bearer   t"] {
            assert_eq!(bearer(value.as_bytes()), Bearer::Token(b"t"), "{value}");
        }
        for value in ["Bearer", "Bearer ", "Bearer\tt", "bearer,t", "Bearer=t", "Bearer\x00t"] {
            assert_eq!(bearer(value.as_bytes()), Bearer::Malformed, "{value}");
        }
        for value in ["", "Basic dTpw", "BearerX t", "Bearer1 t", "Bear er", "DPoP t", "Basic a,b"]
        {
            assert_eq!(bearer(value.as_bytes()), Bearer::OtherScheme, "{value}");
        }
        // J67: two lines that became one, and white space that an upstream would drop.
        for value in [
            " Bearer t",
            "\tbearer t",
            "\u{a0}Bearer t",
            "Basic dTpw,\u{85} Bearer t",
            "Basic dTpw,Bearer t",
            "Basic dTpw, bearer",
            ",Bearer t",
        ] {
            assert_eq!(bearer(value.as_bytes()), Bearer::Malformed, "{value}");
        }
        assert_eq!(bearer(b"Bearer a, Bearer b"), Bearer::Token(b"a, Bearer b"));
        assert_eq!(bearer(b"\xff"), Bearer::OtherScheme);
        assert_eq!(bearer(b"\xa0Bearer t"), Bearer::Malformed);
    }
}
