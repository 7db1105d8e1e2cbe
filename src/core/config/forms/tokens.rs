//! What issuers and their keys are written with: addresses, claims, durations, names of variables.

use super::{Checked, Form, NAME_DOC, NAME_PATTERN, exactly, fault, name, note};
use crate::authn::MAX_SET;
use crate::authn::claim_value::ClaimPath;
use crate::host;
use crate::path::Path;
use crate::time::SECOND;

/// Longest address, issuer or path, in bytes.
const MAX_ADDRESS: usize = 1_024;
/// Longest duration, in seconds: 30 days.
const MAX_SECONDS: u64 = 30 * 86_400;

pub(crate) static ISSUER_NAME: Form =
    Form::new("the name of an issuer", NAME_PATTERN, name, NAME_DOC);
pub(crate) static TEXT: Form =
    Form::new("a text", "^.{1,256}$", note, "at most 256 bytes without control characters");
pub(crate) static ISSUER: Form = Form::new(
    "the identifier of an issuer",
    r"^[!-~]{1,1024}$",
    printable,
    "1 to 1,024 printable ASCII characters without spaces, as `iss` has them; a URL more often than not",
);
pub(crate) static URL: Form = Form::new(
    "an address",
    "^https?://[!#-;=?-~]+$",
    url,
    "an absolute `https` or `http` URL without spaces, quotes, `<` and `>`",
);
pub(crate) static MEDIA_TYPE: Form = Form::new(
    "a type of token",
    "^[A-Za-z0-9.+/_-]{1,64}$",
    media_type,
    "a media type as `typ` has it, `application/` left out or not: `at+jwt`, `JWT`",
);
pub(crate) static CLAIM: Form = Form::new(
    "a claim",
    r"^.{1,256}$",
    claim,
    r"the claim's name, or names from the outermost object in with dots between them, `realm_access.roles`; a dot that is part of a name is written `\.`",
);
pub(crate) static DURATION: Form = Form::new(
    "a duration",
    "^(0s|[1-9][0-9]{0,6}[smhd])$",
    duration,
    "a whole number and `s`, `m`, `h` or `d` for seconds, minutes, hours or days; at most 30 days",
);
pub(crate) static JWKS: Form = Form {
    secret: true,
    ..Form::new("a key set", r"^\s*\{", key_set, "a JSON object with a list `keys` (RFC 7517)")
};
pub(crate) static VARIABLE: Form = Form {
    secret: true,
    ..Form::new(
        "the name of a variable",
        "^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        variable,
        "the name of an environment variable: letters, digits and `_`, the first no digit",
    )
};
pub(crate) static CLUSTER: Form = Form::new(
    "the name of a cluster",
    "^[!-~]{1,256}$",
    cluster,
    "the name of a cluster of Envoy's, 1 to 256 printable ASCII characters without spaces",
);
pub(crate) static KEY_PATH: Form = Form::new(
    "the path of a key set",
    "^/[!-~]*$",
    key_path,
    "a path that begins with `/`, and perhaps a query",
);
pub(crate) static AUTHORITY: Form = Form::new(
    "an authority",
    r"^[0-9A-Za-z.:\[\]-]{1,255}$",
    authority,
    "a host, and perhaps `:` and a port",
);

fn printable(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= MAX_ADDRESS && text.bytes().all(|byte| byte.is_ascii_graphic());
    exactly(good, text, "write `iss` as the issuer's tokens have it", out)
}

/// The part of a URL behind its scheme.
fn after_scheme(text: &str) -> Option<&str> {
    text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
}

/// Host and port of a URL.
pub(crate) fn authority_of(url: &str) -> Option<&str> {
    let rest = after_scheme(url)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.get(..end).filter(|authority| AUTHORITY.holds(authority))
}

fn url(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\');
    let good = text.len() <= MAX_ADDRESS && text.bytes().all(good) && authority_of(text).is_some();
    exactly(good, text, "write it like `https://docs.example.com/keys`", out)
}

fn media_type(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".+/_-".contains(&byte);
    if text.len() <= 64 && text.bytes().all(good) {
        // Compared without case, so written without it.
        out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        return Ok(());
    }
    fault("", "write it like `at+jwt`")
}

fn claim(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= 256 && !text.chars().any(char::is_control);
    let url = text.split_once("://").filter(|(_, rest)| rest.replace(r"\.", "").contains('.'));
    if url.is_some() {
        let why = "it is a URL, and each of its dots would begin another name";
        return fault(why, r"write its dots as `\.`");
    }
    let good = good && ClaimPath::dotted(text).is_some();
    exactly(good, text, r"names with single dots between them; `\.` is a dot in a name", out)
}

/// The seconds of a duration.
pub(crate) fn parse_duration(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 7;
    let count = digits.parse::<u64>().ok().filter(|_| plain)?;
    if digits.starts_with('0') && text != "0s" {
        return None;
    }
    let seconds = match unit {
        "s" => count,
        "m" => count.saturating_mul(60),
        "h" => count.saturating_mul(3_600),
        "d" => count.saturating_mul(86_400),
        _ => return None,
    };
    (seconds <= MAX_SECONDS).then_some(seconds)
}

fn duration(text: &str, out: &mut Vec<u8>) -> Checked {
    match parse_duration(text) {
        Some(seconds) => {
            out.extend(seconds.saturating_mul(SECOND).to_le_bytes());
            Ok(())
        }
        None => fault("", "write it like `30s`, `5m`, `12h` or `7d`; at most 30 days"),
    }
}

fn key_set(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= MAX_SET && text.trim_ascii_start().starts_with('{');
    exactly(good, text, "write it like `{\"keys\": [...]}`", out)
}

fn variable(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    let help = "the secret itself never stands in a policy: name the variable that holds it";
    exactly(first && text.len() <= 128 && text.bytes().all(good), text, help, out)
}

fn cluster(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    exactly(good, text, "1 to 256 printable characters without spaces", out)
}

fn key_path(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= MAX_ADDRESS
        && text.starts_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && Path::parse(text.as_bytes()).is_ok();
    exactly(good, text, "write it like `/.well-known/jwks.json`", out)
}

fn authority(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = text.len() <= 255 && !text.contains('@') && host::canonical(text.as_bytes()).is_ok();
    exactly(good, text, "write it like `id.example.com` or `id.example.com:8443`", out)
}
