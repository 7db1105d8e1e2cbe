//! What the enforcement point must do: forward with edits, or reply. Never both, never neither.

mod challenge;
mod limits;
mod lines;
mod schedule;

use std::borrow::Cow;

use crate::authn::SourceStrip;
use crate::authn::bearer::{Bearer, bearer};
use crate::authn::extract::Source;
use crate::bytes::ByteSet;
use crate::decision::{Decision, Outcome};
use crate::few::Few;
use crate::json::{Object, member, push_number};
use crate::limit::Charge;
use crate::reason::{Denial, Public};
use crate::request::Field;

pub use lines::Lines;

/// The one effect of a decision.
#[derive(Debug)]
#[cfg_attr(
    target_pointer_width = "64",
    expect(
        clippy::large_enum_variant,
        reason = "it is taken apart at once, and `Forward` is the rule"
    )
)]
pub enum Effects<'d> {
    /// The request goes on.
    Forward(Forward<'d>),
    /// The gateway answers.
    Reply(Reply),
}

/// Edits to a request that goes on, and to the response that will come.
#[derive(Debug, Default)]
pub struct Forward<'d> {
    /// Request headers to remove, by name as the request spells them.
    pub remove: Few<&'d [u8], 4>,
    /// Request headers to set after that, replacing every line of the name.
    pub set: Few<(&'d str, Cow<'d, [u8]>), 4>,
    /// Response headers to add.
    pub response: Lines,
    /// What the response's headers are to be held against when they come: see [`Policy::charge`].
    ///
    /// [`Policy::charge`]: crate::Policy::charge
    pub charges: Vec<Charge>,
}

/// A reply by the gateway itself.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, for callers that speak gRPC.
    pub grpc_status: Option<u8>,
    /// Response headers.
    pub headers: Lines,
    /// The problem body (RFC 9457), or the message for gRPC callers.
    pub body: Vec<u8>,
    /// The exact reason, for Envoy's response code details.
    pub details: &'static str,
}

impl<'r> Decision<'_, 'r> {
    /// What to do.
    #[inline]
    pub fn effects(&self) -> Effects<'_> {
        match (self.outcome(), self.verdict) {
            (Outcome::Refused, Err(denial)) => Effects::Reply(self.reply(denial)),
            _ => Effects::Forward(self.forward()),
        }
    }

    #[inline]
    fn forward(&self) -> Forward<'_> {
        let mut forward = Forward::default();
        forward.remove.extend(self.headers.stripped.iter().copied());
        self.strip_sources(&mut forward);
        self.set_identity(&mut forward);
        let is_told = !self.only_observes();
        if is_told {
            self.add_limit_headers(&mut forward.response);
        }
        forward.charges = self.charges();
        self.add_schedule_headers(&mut forward.response);
        if is_told {
            self.add_legacy_limit_headers(&mut forward.response);
        }
        let key = self.principal.as_ref().and_then(|principal| principal.key());
        let retiring = key.filter(|key| key.is_retiring());
        if let (Some(key), Some(header)) = (retiring, &self.policy.retiring_header) {
            let end = key.expires.map_or_else(|| "true".to_owned(), |end| end.to_string());
            forward.response.add(header, &end);
        }
        forward
    }

    /// Takes credentials out of `Authorization`, query and cookies. Other headers are removed by name.
    #[inline]
    fn strip_sources(&self, forward: &mut Forward<'_>) {
        let sources = &self.policy.sources;
        if sources.iter().any(Source::strips_bearer) {
            let is_ours = match self.headers.authorization {
                Field::Absent => false,
                Field::One(value) => bearer(value) != Bearer::OtherScheme,
                // As with cookies below.
                Field::Many => true,
            };
            if is_ours {
                forward.remove.push(b"authorization");
            }
        }
        let target = self.headers.path.one().and_then(|path| SourceStrip::target(sources, path));
        if let Some(target) = target {
            forward.set.push((":path", Cow::Owned(target)));
        }
        if self.headers.cookie == Field::Many {
            // Refused as ambiguous, and here only because the policy looks on: which of the lines
            // holds a key is not asked.
            forward.remove.push(b"cookie");
        }
        let cookie = self.headers.cookie.one();
        match cookie.and_then(|cookie| SourceStrip::cookie(sources, cookie)) {
            Some(left) if left.is_empty() => forward.remove.push(b"cookie"),
            Some(left) => forward.set.push(("cookie", Cow::Owned(left))),
            None => {}
        }
    }

    /// Tells the upstream who is calling: a verified principal and nobody else.
    #[inline]
    fn set_identity<'d>(&'d self, forward: &mut Forward<'d>) {
        let Some(principal) = &self.principal else { return };
        let identity = &self.policy.identity;
        let values = [
            (&identity.consumer, principal.header_name()),
            (
                &identity.credential,
                principal
                    .issuer()
                    .map_or_else(|| principal.credential_name(), |issuer| issuer.name()),
            ),
            (&identity.scopes, principal.scopes().text()),
        ];
        for (header, value) in values {
            if let Some(header) = header {
                forward.set.push((header, Cow::Borrowed(value.as_bytes())));
            }
        }
        let told = principal.token().map(|token| &*token.headers).unwrap_or_default();
        for (position, value) in told {
            let headers = &self.policy.token_rules.headers;
            if let Some((_, header)) = headers.get(usize::from(*position)) {
                forward.set.push((header, Cow::Borrowed(value.as_bytes())));
            }
        }
    }

    fn reply(&self, denial: Denial) -> Reply {
        let public = denial.public();
        let mut reply = Reply::head(denial, self.headers.is_grpc());
        let lines = &mut reply.headers;
        self.add_challenges(public, lines);
        if public == Public::RateLimited {
            lines.write("retry-after", |out| push_number(out, self.retry_after()));
            self.add_limit_headers(lines);
            self.add_legacy_limit_headers(lines);
        }
        self.add_schedule_headers(lines);
        if reply.grpc_status.is_none() {
            let scopes = self.policy.scopes.names_of(self.missing.iter().copied());
            reply.body = problem(public, self.request_id(), scopes);
        }
        reply
    }

    /// The request's id, where it is a word that can be repeated to the caller.
    fn request_id(&self) -> Option<&'r str> {
        let id = self.headers.request_id.one()?;
        if id.len() <= 64 && WORD.has_all(id) { str::from_utf8(id).ok() } else { None }
    }
}

impl Reply {
    /// A reply that knows nothing but its reason: for a filter without a policy, or whose host failed.
    pub fn bare(denial: Denial, is_grpc: bool) -> Self {
        let mut reply = Self::head(denial, is_grpc);
        if !is_grpc {
            reply.body = problem(denial.public(), None, [].into_iter());
        }
        reply
    }

    /// All of a reply but a problem body, and what a decision knows.
    fn head(denial: Denial, is_grpc: bool) -> Self {
        let public = denial.public();
        let mut headers = Lines::default();
        headers.reserve(ROOM);
        let mut body = Vec::new();
        if is_grpc {
            body.extend_from_slice(public.detail().as_bytes());
        } else {
            headers.add("content-type", "application/problem+json");
        }
        Self {
            status: public.status(),
            grpc_status: is_grpc.then_some(public.grpc_status()),
            headers,
            body,
            details: denial.code(),
        }
    }
}

/// What a request's id may be made of that is repeated to the caller.
static WORD: ByteSet =
    ByteSet::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

/// Bytes that the lines of an ordinary reply take, and those that its body takes at most with a request's
/// id: then each is written in one piece of memory.
const ROOM: usize = 384;

/// A problem details object (RFC 9457 section 3).
fn problem<'s>(
    public: Public,
    request_id: Option<&str>,
    missing_scopes: impl Iterator<Item = &'s str>,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(ROOM);
    let mut object = Object::open(&mut body);
    object.begun(public.problem().as_bytes()).texts(member!("missing_scopes"), missing_scopes);
    if let Some(id) = request_id {
        object.word(member!("request_id"), id);
    }
    object.close();
    body
}
