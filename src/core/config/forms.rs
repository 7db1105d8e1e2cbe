//! The forms of text in the policy language: each is checked, and given its one canonical spelling.
//!
//! What the core reads in requests (paths, hosts, addresses, times) is read here by the same functions,
//! so that a rule cannot be written in a way that no request can have.

use std::borrow::Cow;
use std::fmt;

use super::diagnostic::{Shown, code};
use super::grammar::Form;
use crate::address::{Cidr, CidrFault};
use crate::host;
use crate::path::Path;
use crate::time::{SECOND, Timestamp};

/// Largest burst of a limit, in requests.
pub(crate) const MAX_BURST: u32 = 1_000_000;
/// Largest rate of a limit, in requests a second.
const MAX_PER_SECOND: u64 = 1_000_000;
/// Longest header name, in bytes.
const MAX_HEADER: usize = 63;
/// Longest other text, in bytes.
const MAX_TEXT: usize = 256;
/// Longest path pattern, in bytes.
const MAX_PATTERN: usize = 1_024;
/// SHA-256 of the empty text.
const DIGEST_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Checks a text and gives its canonical spelling.
pub(crate) type Check = for<'t> fn(&'t str) -> Checked<'t>;
pub(crate) type Checked<'t> = Result<Cow<'t, str>, Fault>;

/// What is wrong with a text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    /// Continues "TEXT is not FORM" after a colon; empty if that says it all.
    pub(crate) why: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
}

fn fault<'t>(why: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Checked<'t> {
    Err(Fault { code: code::BAD_TEXT, why: why.into(), help: help.into() })
}

/// The text as it is, if it is good.
fn exactly<'t>(good: bool, text: &'t str, help: &'static str) -> Checked<'t> {
    if good { Ok(Cow::Borrowed(text)) } else { fault("", help) }
}

const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const NAME_DOC: &str = "1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit";
const TOKEN_PATTERN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,63}$";

pub(super) static NAME: Form = Form::new("a name", NAME_PATTERN, name, NAME_DOC);
pub(super) static NETWORK_NAME: Form =
    Form::new("the name of a network", NAME_PATTERN, name, NAME_DOC);
pub(super) static ROLE_NAME: Form = Form::new("the name of a role", NAME_PATTERN, name, NAME_DOC);
pub(super) static LIMIT_NAME: Form = Form::new("the name of a limit", NAME_PATTERN, name, NAME_DOC);
pub(super) static KEY_ID: Form =
    Form { secret: true, ..Form::new("an id", NAME_PATTERN, key_id, NAME_DOC) };
pub(super) static SCOPE: Form = Form::new(
    "a scope",
    r"^[!#-+\--\[\]-~]{1,128}$",
    scope,
    "1 to 128 printable ASCII characters but space, `\"`, `\\` (RFC 6749, section 3.3) and comma",
);
pub(super) static REALM: Form = Form::new(
    "a realm",
    r"^[ !#-\[\]-~]{1,256}$",
    realm,
    "1 to 256 printable ASCII characters but `\"` and `\\`",
);
pub(super) static HEADER: Form = Form::new(
    "the name of a header",
    TOKEN_PATTERN,
    header,
    "a field name (RFC 9110, section 5.1) of at most 63 characters, in any case; none that the message itself needs, such as `host` or `content-length`, and none that the gateway reads for something else, such as `x-forwarded-for`",
);
pub(super) static PARAMETER: Form = Form::new(
    "the name of a query parameter",
    "^[A-Za-z0-9._~-]{1,63}$",
    parameter,
    "1 to 63 letters, digits, `.`, `_`, `~` and `-`",
);
pub(super) static COOKIE: Form = Form::new(
    "the name of a cookie",
    TOKEN_PATTERN,
    cookie,
    "a token (RFC 9110, section 5.6.2) of at most 63 characters",
);
pub(super) static DIGEST: Form = Form {
    secret: true,
    ..Form::new(
        "the SHA-256 of a key",
        "^[0-9a-f]{64}$",
        digest,
        "64 hexadecimal digits in lower case, as `portcullis key hash` prints them",
    )
};
pub(super) static TIME: Form = Form::new(
    "a time",
    r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$",
    time,
    "RFC 3339 in upper case: `2026-12-31T00:00:00Z`",
);
pub(super) static CIDR: Form = Form::new(
    "a range of addresses",
    r"^[0-9a-fA-F:.]+(/\d{1,3})?$",
    cidr,
    "an IPv4 or IPv6 address and a prefix length, `10.0.0.0/8`, or an address alone; no bits behind the prefix; `::ffff:10.0.0.0/104` is `10.0.0.0/8`",
);
pub(super) static COUNTRY: Form = Form::new(
    "a country",
    "^([A-Z]{2}|unknown)$",
    country,
    "an ISO 3166-1 alpha-2 code in upper case, or `unknown` where Envoy has no answer (in deny lists only)",
);
pub(super) static RATE: Form = Form::new(
    "a rate",
    "^[1-9][0-9]{0,10}/[smhd]$",
    rate,
    "a whole number of requests, `/`, and `s`, `m`, `h` or `d` for second, minute, hour or day; at most 1,000,000 a second",
);
pub(super) static NOTE: Form =
    Form::new("a note", "^.{1,256}$", note, "at most 256 bytes without control characters");
pub(super) static HOST: Form = Form::new(
    "a host",
    r"^(\*\.)?[^*/:\s]+$|^\[[0-9A-Fa-f:.]+\]$",
    host_pattern,
    "a host without port, `api.example.com`, or `*.` and a host for everything below it, `*.example.com`",
);
pub(super) static PATH: Form = Form::new(
    "a path pattern",
    r"^/[^?#\s]*$",
    path_pattern,
    "segments that begin with `/`, each a text, or `{name}` for any one segment, and perhaps `/**` at the end for everything below",
);
pub(super) static ENVOY_ROUTE: Form = Form::new(
    "the name of an Envoy route",
    "^.{1,256}$",
    note,
    "the `name` of a route in Envoy's route configuration",
);
pub(super) static METHOD: Form = Form::new(
    "a method",
    r"^(\*|[A-Z-]+)$",
    method,
    "a registered HTTP method in upper case, or `*` for every method but CONNECT, TRACE and TRACK",
);

fn name(text: &str) -> Checked<'_> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    exactly(first && text.len() <= 64 && text.bytes().all(good), text, NAME_DOC)
}

fn key_id(text: &str) -> Checked<'_> {
    if super::diagnostic::looks_secret(text) {
        return Err(Fault {
            code: code::KEY_PLAINTEXT,
            why: "it looks like a key".into(),
            help: "an id is shown in audit records: choose one that says nothing".into(),
        });
    }
    name(text)
}

fn scope(text: &str) -> Checked<'_> {
    let good = |byte: u8| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\\' | b',');
    let help = "1 to 128 printable ASCII characters without space, comma, `\"` and `\\`";
    exactly(matches!(text.len(), 1..=128) && text.bytes().all(good), text, help)
}

fn realm(text: &str) -> Checked<'_> {
    let good = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let help = "1 to 256 printable ASCII characters without `\"` and `\\`";
    exactly(matches!(text.len(), 1..=MAX_TEXT) && text.bytes().all(good), text, help)
}

/// Names that frame the message, or that the gateway or Envoy reads for another purpose.
const RESERVED: [&str; 15] = [
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "grpc-timeout",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-request-id",
];

fn header(text: &str) -> Checked<'_> {
    if !matches!(text.len(), 1..=MAX_HEADER) || !text.bytes().all(is_token) {
        return fault("", "a header name has letters, digits, `-` and `_`, at most 63 of them");
    }
    let folded = fold_header(text);
    if RESERVED.contains(&folded.as_ref()) {
        return fault("this one has a purpose of its own", "choose another header");
    }
    Ok(if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    })
}

/// A header's name with everything folded that a server behind could fold: case, and `_` to `-`.
pub(super) fn fold_header(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte == b'_' || byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase().replace('_', "-"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn parameter(text: &str) -> Checked<'_> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let help = "1 to 63 letters, digits, `.`, `_`, `~` and `-`";
    exactly(matches!(text.len(), 1..=MAX_HEADER) && text.bytes().all(good), text, help)
}

fn cookie(text: &str) -> Checked<'_> {
    let help = "1 to 63 characters of a token, such as letters, digits, `-` and `_`";
    exactly(matches!(text.len(), 1..=MAX_HEADER) && text.bytes().all(is_token), text, help)
}

fn digest(text: &str) -> Checked<'_> {
    const HELP: &str = "`portcullis key hash` prints the digest of a key";
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let why = "this may be the key itself, so it is not shown".into();
        return Err(Fault { code: code::KEY_PLAINTEXT, why, help: HELP.into() });
    }
    if text.len() != 64 {
        return fault(format!("it has {} digits, not 64", text.len()), HELP);
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return fault("it has digits in upper case", "write the digits `a` to `f` in lower case");
    }
    if text == DIGEST_OF_NOTHING {
        let why = "it is the digest of the empty text".into();
        return Err(Fault { code: code::KEY_EMPTY, why, help: HELP.into() });
    }
    Ok(Cow::Borrowed(text))
}

fn time(text: &str) -> Checked<'_> {
    Timestamp::parse_rfc3339(text).map_or_else(
        || fault("", "write it like `2026-12-31T00:00:00Z` (RFC 3339)"),
        |time| Ok(Cow::Owned(time.unix_nanos().to_string())),
    )
}

fn cidr(text: &str) -> Checked<'_> {
    match Cidr::parse(text) {
        Ok(range) => Ok(Cow::Owned(range.to_string())),
        Err(CidrFault::Syntax) => {
            fault("", "write it like `10.0.0.0/8` or `2001:db8::/32`, without leading zeros")
        }
        Err(CidrFault::Length) => fault(
            "the length of its prefix is none",
            "the length is a number from 0 to 32, for IPv6 to 128",
        ),
        Err(CidrFault::HostBits(range)) => Err(Fault {
            code: code::HOST_BITS,
            why: "it has bits set behind its prefix".into(),
            help: format!("the range is `{range}`").into(),
        }),
    }
}

fn country(text: &str) -> Checked<'_> {
    let code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    exactly(code || text == "unknown", text, "write two capital letters, like `DE`, or `unknown`")
}

/// How many requests in how many nanoseconds.
pub(super) fn parse_rate(text: &str) -> Option<(u64, u64)> {
    let (count, unit) = text.split_once('/')?;
    let plain = count.bytes().all(|byte| byte.is_ascii_digit()) && !count.starts_with('0');
    let count = count.parse::<u64>().ok().filter(|_| plain)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let most = MAX_PER_SECOND.saturating_mul(seconds);
    (count <= most).then_some((count, SECOND.saturating_mul(seconds)))
}

fn rate(text: &str) -> Checked<'_> {
    let help = "write it like `100/s`, `30/m`, `10/h` or `1000/d`; at most 1000000 a second";
    exactly(parse_rate(text).is_some(), text, help)
}

fn note(text: &str) -> Checked<'_> {
    let good = matches!(text.len(), 1..=MAX_TEXT) && !text.chars().any(char::is_control);
    exactly(good, text, "1 to 256 bytes without control characters")
}

fn host_pattern(text: &str) -> Checked<'_> {
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    if name.contains('*') {
        return fault("", "`*` can only stand for all labels before a dot: `*.example.com`");
    }
    match host::canonical(name.as_bytes()) {
        Ok(canonical)
            if canonical.eq_ignore_ascii_case(name) && !(star == "*." && name.starts_with('[')) =>
        {
            Ok(format!("{star}{canonical}").into())
        }
        Ok(canonical) => fault("", format!("write the host alone: `{star}{canonical}`")),
        Err(why) => fault(why, "write it like `api.example.com` or `*.example.com`"),
    }
}

/// The segments of a path pattern, and whether `/**` follows them.
pub(super) fn split_path(text: &str) -> (impl Iterator<Item = &str>, bool) {
    let (head, rest) = text.strip_suffix("/**").map_or((text, false), |head| (head, true));
    // `/**` alone has no segment before it, `/` has an empty one.
    let count = if head.is_empty() { 0 } else { usize::MAX };
    (head.split('/').skip(1).take(count), rest)
}

/// The name in a segment `{name}`.
pub(super) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn path_pattern(text: &str) -> Checked<'_> {
    if text.len() > MAX_PATTERN {
        return fault("it is longer than 1024 bytes", "");
    }
    if !text.starts_with('/') {
        return fault(
            "it does not begin with `/`",
            "write it like `/orders`, `/orders/{id}` or `/orders/**`",
        );
    }
    let (segments, rest) = split_path(text);
    let mut names: Vec<&str> = Vec::new();
    let mut literal = String::with_capacity(text.len());
    for segment in segments {
        literal.push('/');
        if let Some(inner) = parameter_name(segment) {
            if name(inner).is_err() || names.contains(&inner) {
                return fault("its parameters need names, each its own", "write them like `{id}`");
            }
            names.push(inner);
            literal.push('x');
        } else if segment.contains(['{', '}', '*']) {
            return fault(
                "`{name}` is always a whole segment, and `**` the last one",
                "a literal brace or star is written `%7B`, `%7D`, `%2A`",
            );
        } else {
            literal.push_str(segment);
        }
    }
    if rest {
        literal.push_str("/x");
    }
    canonical_path(&literal)
        .map_or_else(|(why, help)| fault(why, help), |()| Ok(Cow::Borrowed(text)))
}

/// Refuses literal segments in a spelling that no request has once it is read.
fn canonical_path(literal: &str) -> Result<(), (Cow<'static, str>, Cow<'static, str>)> {
    let help = "a path is matched in its canonical form: see the rules for paths";
    if literal.contains('?') {
        return Err(("a query takes no part in matching".into(), "leave it out".into()));
    }
    match Path::parse(literal.as_bytes()) {
        Ok(path) if path.as_str() == literal => Ok(()),
        Ok(path) => {
            let shown = Shown(path.as_str()).to_string();
            Err((
                "no request has it in this spelling".into(),
                format!("its canonical form is {shown}").into(),
            ))
        }
        Err(why) => Err((why.into(), help.into())),
    }
}

/// The HTTP Method Registry of IANA, without `PRI`, which no request may use.
const METHODS: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

fn method(text: &str) -> Checked<'_> {
    if text == "*" || METHODS.contains(&text) {
        return Ok(Cow::Borrowed(text));
    }
    match super::suggest::closest(text, METHODS.iter().copied()) {
        Some(known) => fault("", format!("did you mean `{known}`?")),
        None => fault("", "use a registered method in upper case, or `*`"),
    }
}

impl Fault {
    /// The message: what the text is not, and why.
    pub(crate) fn message(&self, text: &str, form: &Form) -> impl fmt::Display {
        let shown = if form.secret { "this text".to_owned() } else { Shown(text).to_string() };
        let colon = if self.why.is_empty() { "" } else { ": " };
        format!("{shown} is not {}{colon}{}", form.name, self.why)
    }
}

#[cfg(test)]
mod tests;
