//! Reading an issuer's answer: its status, its cache headers, its bytes. All of it is foreign.

use portcullis_core::HeaderLine;
use portcullis_core::config::Node;

use super::data::{MAX_ETAG, MAX_PATH, visible};
use super::state::FetchResult;

/// Longest discovery document, in bytes.
pub(super) const MAX_DOCUMENT: usize = 64 * 1_024;

const SECOND: u64 = 1_000_000_000;

/// The lines of an answer that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// 0 where the host says none, or none that is a number.
    pub(super) status: u16,
    /// Whether the body is in a content coding. It was asked for without.
    pub(super) is_encoded: bool,
    pub(super) etag: Option<Box<str>>,
    /// For how long the issuer calls it fresh, in nanoseconds; `None` where it does not say.
    pub(super) fresh_for: Option<u64>,
}

impl Head {
    pub(super) fn read(lines: &[HeaderLine<'_>]) -> Self {
        let mut head = Self::default();
        let (mut max_age, mut age, mut uncacheable) = (None, 0, false);
        for (name, value) in lines {
            match *name {
                b":status" => {
                    let status = number(value).and_then(|status| status.try_into().ok());
                    head.status = status.unwrap_or(0);
                }
                b"content-encoding" => {
                    head.is_encoded |= !value.trim_ascii().eq_ignore_ascii_case(b"identity");
                }
                b"etag" if value.len() <= MAX_ETAG => head.etag = visible(value).map(Box::from),
                b"age" => age = number(value).unwrap_or(0),
                b"cache-control" => {
                    for directive in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        if is_no(directive) {
                            uncacheable = true;
                        } else if let Some(seconds) = max_age_of(directive) {
                            // Of two the shorter counts.
                            max_age = Some(max_age.map_or(seconds, |held: u64| held.min(seconds)));
                        }
                    }
                }
                _ => {}
            }
        }
        let left = max_age.map(|seconds| seconds.saturating_sub(age).saturating_mul(SECOND));
        head.fresh_for = if uncacheable { Some(0) } else { left };
        head
    }
}

/// `no-store` and `no-cache`, with fields after the latter or not.
fn is_no(directive: &[u8]) -> bool {
    let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache")
}

fn max_age_of(directive: &[u8]) -> Option<u64> {
    let (name, value) = directive.split_at_checked(b"max-age=".len())?;
    if !name.eq_ignore_ascii_case(b"max-age=") {
        return None;
    }
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    number(quoted.unwrap_or(value))
}

/// Digits alone; more of them than a `u64` holds are its largest value.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |byte: &u8| u64::from(byte & 0x0f);
    Some(
        text.iter()
            .fold(0, |number: u64, byte| number.saturating_mul(10).saturating_add(digit(byte))),
    )
}

/// Where an issuer's discovery document is: below the path of the issuer (section 4 of Connect
/// Discovery 1.0).
pub(super) fn discovery_path(issuer: &str) -> String {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    format!("{}/.well-known/openid-configuration", path.strip_suffix('/').unwrap_or(path))
}

/// The path of the key set from a discovery document (section 4.3: `issuer` must be exactly ours).
pub(super) fn set_path(
    document: &[u8],
    issuer: &str,
    authority: &str,
) -> Result<String, FetchResult> {
    let document = Node::from_json(document).map_err(|_| FetchResult::Discovery)?;
    let text = |name| document.member(name).and_then(Node::as_text);
    if text("issuer") != Some(issuer) {
        return Err(FetchResult::Discovery);
    }
    let uri = text("jwks_uri").and_then(|uri| visible(uri.as_bytes()));
    let (scheme, rest) = uri.and_then(|uri| uri.split_once("://")).ok_or(FetchResult::Discovery)?;
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(FetchResult::Elsewhere),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (found, target) = rest.split_at_checked(end).ok_or(FetchResult::Discovery)?;
    let plain = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        authority.strip_suffix(port).map(str::to_owned).unwrap_or(authority)
    };
    if plain(found) != plain(authority) {
        return Err(FetchResult::Elsewhere);
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{target}");
    if path.len() > MAX_PATH { Err(FetchResult::Discovery) } else { Ok(path) }
}
