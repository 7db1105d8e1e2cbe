//! Places: ranges of addresses, countries, hosts and paths.

use super::{Checked, Fault, exactly, fault};
use crate::address::{Address, Cidr, CidrFault};
use crate::config::diagnostic::{Shown, code};
use crate::host;
use crate::path::Path;

/// Longest path pattern, in bytes.
const MAX_PATTERN: usize = 1_024;

pub(super) fn cidr(text: &str, out: &mut Vec<u8>) -> Checked {
    match Cidr::parse(text) {
        Ok(range) => {
            match range.first() {
                Address::V4(bits) => out.extend(bits.to_be_bytes()),
                Address::V6(bits) => out.extend(bits.to_be_bytes()),
            }
            out.push(range.length());
            Ok(())
        }
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

pub(super) fn country(text: &str, out: &mut Vec<u8>) -> Checked {
    let code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    exactly(
        code || text == "unknown",
        text,
        "write two capital letters, like `DE`, or `unknown`",
        out,
    )
}

pub(super) fn host_pattern(text: &str, out: &mut Vec<u8>) -> Checked {
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
            out.extend([star, &canonical].concat().bytes());
            Ok(())
        }
        Ok(canonical) => fault("", format!("write the host alone: `{star}{canonical}`")),
        Err(why) => fault(why, "write it like `api.example.com` or `*.example.com`"),
    }
}

/// The segments of a path pattern, and whether `/**` follows them.
pub(crate) fn split_path(text: &str) -> (impl Iterator<Item = &str>, bool) {
    let (head, rest) = text.strip_suffix("/**").map_or((text, false), |head| (head, true));
    (head.split('/').skip(1), rest)
}

/// The name in a segment `{name}`.
pub(crate) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

pub(super) fn path_pattern(text: &str, out: &mut Vec<u8>) -> Checked {
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
            if !super::NAME.holds(inner) || names.contains(&inner) {
                return fault("its parameters need names, each its own", "write them like `{id}`");
            }
            names.push(inner);
            literal.push('x');
        } else if segment.contains(['{', '}', '*']) {
            return fault(
                "`{name}` is always a whole segment, and `**` the last one",
                "a literal brace is written `%7B` or `%7D`",
            );
        } else {
            literal.push_str(segment);
        }
    }
    if rest {
        literal.push_str("/x");
    }
    check_literal(&literal)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Refuses literal segments in a spelling that no request has once it is read.
fn check_literal(literal: &str) -> Checked {
    if literal.contains('?') {
        return fault("a query takes no part in matching", "leave it out");
    }
    match Path::parse(literal.as_bytes()) {
        Ok(path) if path.as_str() == literal => Ok(()),
        Ok(path) => fault(
            "no request has it in this spelling",
            format!("its canonical form is {}", Shown(path.as_str())),
        ),
        Err(why) => fault(why, "a path is matched in its canonical form: see the rules for paths"),
    }
}
