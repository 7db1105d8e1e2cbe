//! What the enforcement point must do: forward with edits, or reply. Never both, never neither.

mod challenge;
mod limits;
mod schedule;

use std::borrow::Cow;

use crate::authn::SourceStrip;
use crate::authn::bearer::{Bearer, bearer};
use crate::authn::extract::Source;
use crate::decision::{Decision, Outcome};
use crate::few::Few;
use crate::json::{Object, member};
use crate::reason::{Denial, Public};
use crate::request::Field;

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

/// Names and values of lines for a response.
pub type ResponseLines = Few<(Cow<'static, str>, String), 2>;

/// Edits to a request that goes on, and to the response that will come.
#[derive(Debug, Default)]
pub struct Forward<'d> {
    /// Request headers to remove, by name as the request spells them.
    pub remove: Few<&'d [u8], 4>,
    /// Request headers to set after that, replacing every line of the name.
    pub set: Few<(&'d str, Cow<'d, [u8]>), 4>,
    /// Response headers to add.
    pub response: ResponseLines,
}

/// A reply by the gateway itself.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// gRPC status, for callers that speak gRPC.
    pub grpc_status: Option<u8>,
    /// Response headers.
    pub headers: Vec<(&'static str, String)>,
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
        if !self.only_observes() {
            forward.response.extend(named(self.limit_headers().into_iter().flatten()));
        }
        let mut others = self.schedule_headers();
        if !self.only_observes() {
            self.add_legacy_limit_headers(&mut others);
        }
        forward.response.extend(named(others));
        let key = self.principal.as_ref().and_then(|principal| principal.key());
        let retiring = key.filter(|key| key.is_retiring());
        if let (Some(key), Some(header)) = (retiring, &self.policy.retiring_header) {
            let end = key.expires.map_or_else(|| "true".to_owned(), |end| end.to_string());
            forward.response.push((Cow::Owned(header.to_string()), end));
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
        let mut reply = Reply::bare(denial, self.headers.is_grpc());
        let public = denial.public();
        let scopes = || self.policy.scopes.names_of(self.missing.iter().copied());
        reply.headers.extend(self.challenges(denial));
        if public == Public::RateLimited {
            reply.headers.push(("retry-after", self.retry_after().to_string()));
            reply.headers.extend(self.limit_headers().into_iter().flatten());
            self.add_legacy_limit_headers(&mut reply.headers);
        }
        reply.headers.extend(self.schedule_headers());
        if reply.grpc_status.is_none() {
            reply.body = problem(public, self.request_id(), scopes());
        }
        reply
    }

    /// The request's id, where it is a word that can be repeated to the caller.
    fn request_id(&self) -> Option<&'r [u8]> {
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        self.headers.request_id.one().filter(|id| id.len() <= 64 && id.iter().all(good))
    }
}

impl Reply {
    /// A reply that knows nothing but its reason: for a filter without a policy, or whose host failed.
    pub fn bare(denial: Denial, is_grpc: bool) -> Self {
        let public = denial.public();
        let mut reply = Self {
            status: public.status(),
            grpc_status: is_grpc.then_some(public.grpc_status()),
            headers: Vec::new(),
            body: Vec::new(),
            details: denial.code(),
        };
        if is_grpc {
            reply.body = public.detail().as_bytes().to_vec();
        } else {
            reply.headers.push(("content-type", "application/problem+json".to_owned()));
            reply.body = problem(public, None, [].into_iter());
        }
        reply
    }
}

/// A problem details object (RFC 9457 section 3).
fn problem<'s>(
    public: Public,
    request_id: Option<&[u8]>,
    missing_scopes: impl Iterator<Item = &'s str>,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    let mut object = Object::open(&mut body);
    object
        .text(member!("type"), Some(public.problem_type().as_bytes()))
        .text(member!("title"), Some(public.title().as_bytes()))
        .number(member!("status"), public.status().into())
        .text(member!("detail"), Some(public.detail().as_bytes()))
        .texts(member!("missing_scopes"), missing_scopes)
        .text(member!("request_id"), request_id);
    object.close();
    body
}

/// Lines of a response as they are kept until it comes.
fn named(
    lines: impl IntoIterator<Item = (&'static str, String)>,
) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    lines.into_iter().map(|(name, value)| (Cow::Borrowed(name), value))
}
