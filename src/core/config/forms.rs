//! The forms of text in the policy language: each is checked, and given its one canonical form.
//!
//! What the core reads in requests (paths, hosts, addresses, times) is read here by the same functions,
//! so that a rule cannot be written in a way that no request can have.

mod measures;
mod places;
mod tokens;
mod words;

use std::borrow::Cow;
use std::fmt;

use super::diagnostic::{Shown, code};
use super::grammar::Form;

pub(crate) use measures::{MAX_BURST, parse_quota, parse_rate, parse_timeout};
pub(crate) use places::{parameter_name, split_path};
pub(crate) use tokens::*;
pub(crate) use words::{decode_digest, fold_header};

use measures::{quota, rate, time, timeout};
use places::{cidr, country, host_pattern, path_pattern};
use words::{cookie, digest, header, method, name, note, parameter, realm, scope};

/// Longest header, parameter or cookie name, in bytes.
const MAX_HEADER: usize = 63;
/// Longest other text, in bytes.
const MAX_TEXT: usize = 256;

/// Checks a text and appends its canonical form: the same bytes for texts that mean the same. A text
/// that is used as a text is its canonical spelling.
pub(crate) type Check = fn(&str, &mut Vec<u8>) -> Checked;
pub(crate) type Checked = Result<(), Fault>;

/// What is wrong with a text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    /// Continues "TEXT is not FORM" after a colon; empty if that says it all.
    pub(crate) why: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
}

fn fault(why: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Checked {
    Err(Fault { code: code::BAD_TEXT, why: why.into(), help: help.into() })
}

/// The text as it is, if it is good.
fn exactly(good: bool, text: &str, help: &'static str, out: &mut Vec<u8>) -> Checked {
    if good {
        out.extend_from_slice(text.as_bytes());
        Ok(())
    } else {
        fault("", help)
    }
}

const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const NAME_DOC: &str = "1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit";
const TOKEN_PATTERN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,63}$";

pub(super) static NAME: Form = Form::new("a name", NAME_PATTERN, name, NAME_DOC);
pub(super) static NETWORK_NAME: Form =
    Form::new("the name of a network", NAME_PATTERN, name, NAME_DOC);
pub(super) static ROLE_NAME: Form = Form::new("the name of a role", NAME_PATTERN, name, NAME_DOC);
pub(super) static LIMIT_NAME: Form = Form::new("the name of a limit", NAME_PATTERN, name, NAME_DOC);
pub(super) static PLAN_NAME: Form = Form::new("the name of a plan", NAME_PATTERN, name, NAME_DOC);
pub(super) static KEY_ID: Form =
    Form { secret: true, ..Form::new("an id", NAME_PATTERN, name, NAME_DOC) };
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
pub(super) static QUOTA: Form = Form::new(
    "a quota",
    "^[1-9][0-9]{0,12}/(hour|day|week|month|year)$",
    quota,
    "a whole number of requests, `/`, and `hour`, `day`, `week`, `month` or `year`; at most 1,000,000,000,000",
);
pub(super) static TIMEOUT: Form = Form::new(
    "a time-out",
    "^[1-9][0-9]{0,4}ms$",
    timeout,
    "a whole number and `ms` for milliseconds; at most 10,000",
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

impl Form {
    /// Whether a text is in this form.
    pub(crate) fn holds(&self, text: &str) -> bool {
        (self.check)(text, &mut Vec::new()).is_ok()
    }

    /// The canonical spelling of a text, if it is in this form.
    pub(crate) fn canonical(&self, text: &str) -> Option<Box<str>> {
        let mut out = Vec::new();
        (self.check)(text, &mut out).ok()?;
        String::from_utf8(out).ok().map(Box::from)
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
