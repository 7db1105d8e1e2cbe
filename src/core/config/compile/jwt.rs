//! Settings of tokens that are no issuer's own.

use super::read;
use crate::authn::jws::DEFAULT_SIZE;
use crate::node::Node;

/// How many verified tokens a worker remembers, unless the policy says otherwise.
const DEFAULT_CACHE: usize = 4_096;

pub(super) struct Jwt {
    pub(super) max_size: usize,
    pub(super) cache: usize,
    pub(super) resource_metadata: Option<Box<str>>,
}

pub(super) fn compile(document: &Node<'_>) -> Jwt {
    let section = document.member("jwt").unwrap_or(&Node::Null);
    Jwt {
        max_size: read::size(section, "max_size").unwrap_or(DEFAULT_SIZE),
        cache: read::size(section, "cache_tokens").unwrap_or(DEFAULT_CACHE),
        resource_metadata: read::text(section, "resource_metadata").map(Box::from),
    }
}
