//! What a policy makes of one token by itself, without a request: for the operator, who has a token
//! that is refused and wants to know why.

use std::rc::Rc;

use super::fault::Fault;
use super::issuer::Issuer;
use super::signature::SignatureVerifier;
use super::token::{Against, Verdict};
use super::tokens::Tokens;
use crate::policy::{Consumer, Policy};
use crate::reason::Denial;
use crate::time::Timestamp;

/// What a policy makes of a token.
#[derive(Debug)]
pub struct Judged<'p> {
    /// The issuer that the token names, where the policy has it.
    pub issuer: Option<&'p Issuer>,
    /// Whose token it is, or why it is refused.
    pub verdict: Result<Caller<'p>, Fault>,
}

/// Who shows a token.
#[derive(Debug)]
pub struct Caller<'p> {
    /// The issuer's name, a colon, the claim that names the caller.
    pub name: Box<str>,
    /// The consumer whose token it is.
    pub consumer: Option<&'p Consumer>,
    /// The `kid` of the key that signed, where it has one.
    pub key_id: Option<Rc<str>>,
    /// What the token lets it do, with spaces between.
    pub scopes: Box<str>,
    /// The first instant at which the token is refused, leeway included.
    pub end: Timestamp,
}

impl Policy {
    /// Longest token that is looked at, in bytes.
    pub fn max_token_size(&self) -> usize {
        self.token_rules.max_size
    }

    /// Judges one token as the walk does, with the keys that are there. Nothing is remembered.
    pub fn judge_token<V: SignatureVerifier>(
        &self,
        text: &[u8],
        now: Timestamp,
        tokens: &mut Tokens<V>,
    ) -> Judged<'_> {
        let rules = &self.token_rules;
        let against = Against {
            scopes: &self.scopes,
            consumers: &self.consumers,
            keyring: &tokens.keyring,
            now,
        };
        let (id, verdict) =
            match rules.verify(text, against, &mut tokens.verifier, &mut tokens.last_header) {
                Verdict::Verified(token) => (Some(token.issuer), Ok(token)),
                Verdict::Barred(token, fault) => (Some(token.issuer), Err(fault)),
                Verdict::NeedsKeys(id, _, fault) => (Some(id), Err(fault)),
                Verdict::Refused(id, fault) => (id, Err(fault)),
            };
        let caller = verdict.and_then(|token| {
            let consumer = token.consumer.and_then(|id| self.consumer(id));
            if consumer.is_some_and(|consumer| consumer.disabled) {
                return Err(Fault::new(Denial::ConsumerDisabled, "its consumer is disabled"));
            }
            let scopes = token.scopes.text().into();
            let (name, key_id) = (token.name.clone(), token.key_id.clone());
            Ok(Caller { name, consumer, key_id, scopes, end: token.end })
        });
        Judged { issuer: id.and_then(|id| rules.issuer(id)), verdict: caller }
    }
}
