//! Settings of tokens that are no issuer's own.

use super::super::diagnostic::{Report, code};
use super::super::place::Place;
use super::read;
use crate::authn::jws::DEFAULT_SIZE;
use crate::node::Node;

/// How many verified tokens a worker remembers, unless the policy says otherwise.
const DEFAULT_CACHE: usize = 4_096;
/// Most bytes that the texts of remembered tokens can take in a worker, for each policy.
const MAX_CACHE: usize = 64 * 1_024 * 1_024;

pub(super) struct Jwt {
    pub(super) max_size: usize,
    pub(super) cache: usize,
    pub(super) resource_metadata: Option<Box<str>>,
}

pub(super) fn compile(document: &Node<'_>, report: &mut Report) -> Jwt {
    let section = document.member("jwt").unwrap_or(&Node::Null);
    let max_size = read::size(section, "max_size").unwrap_or(DEFAULT_SIZE);
    let fitting = MAX_CACHE.checked_div(max_size).unwrap_or(DEFAULT_CACHE);
    let cache = read::size(section, "cache_tokens").unwrap_or(DEFAULT_CACHE.min(fitting));
    if cache.saturating_mul(max_size) > MAX_CACHE {
        let message = "this many tokens of `max_size` would take more than 64 MiB in each worker";
        let place = Place::TOP.field("jwt");
        let help = "lower one of the two";
        report.error(code::OUT_OF_BOUNDS, &place.field("cache_tokens"), message, help);
    }
    Jwt {
        max_size,
        cache,
        resource_metadata: read::text(section, "resource_metadata").map(Box::from),
    }
}
