//! THE ORDER OF CHECKS. The walk of one request through the stages, stopping at the first refusal.

mod credential;
mod fleet;
mod form;
mod limits;
mod place;
mod scopes;
#[cfg(test)]
mod tests;

use crate::authn::issuer::IssuerId;
use crate::authn::signature::SignatureVerifier;
use crate::authn::tokens::Tokens;
use crate::decision::{Decision, Grant};
use crate::explain::{Stage, Trace};
use crate::limit::{BucketStore, Inquiry, LimitId, LimitReport, Origin, State, Verdict, leave};
use crate::policy::Policy;
use crate::reason::Denial;
use crate::request::Request;
use crate::route::{Access, Found, Route};
use crate::time::Timestamp;

/// How far a walk came.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and `Done` is the rule")]
pub enum Step<'p, 'r> {
    /// To its end.
    Done(Decision<'p, 'r>),
    /// To a question that only somebody outside can answer. [`Policy::resume`] goes on from there.
    Ask(Box<Pause>),
}

/// A walk that waits for an answer. It goes with the policy and the request that made it.
#[derive(Debug)]
pub struct Pause {
    question: Question,
    /// The limits that were spent: they are not spent again.
    spent: Vec<(LimitId, State, bool, Origin)>,
}

/// What a walk waits for.
#[derive(Debug)]
pub enum Question {
    /// The keys of an issuer.
    Keys {
        /// Whose.
        issuer: IssuerId,
        /// The `kid` that the keys in force do not have. It is the caller's text.
        key_id: Option<Box<str>>,
    },
    /// What the rate limit service says of one limit.
    Fleet(Inquiry),
}

impl Pause {
    /// What must be found out.
    pub fn question(&self) -> &Question {
        &self.question
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is known here is to decide: the keys in force, this process's own count.
    Current,
    /// Nobody can say: whether there are newer keys, what the service has counted.
    Unavailable,
    /// The rate limit service says so.
    Counted(Verdict),
}

/// Why a walk stops.
enum Halt {
    Refused(Denial),
    Ask(Question),
}

impl From<Denial> for Halt {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

impl Policy {
    /// Decides one request, or says what must be found out first. Never panics, whatever the bytes;
    /// spends tokens of limits and remembers verified tokens, changes nothing else.
    pub fn decide<'p, 'r, V: SignatureVerifier>(
        &'p self,
        request: &Request<'r>,
        now: Timestamp,
        buckets: &mut impl BucketStore,
        tokens: &mut Tokens<V>,
        trace: &mut impl Trace,
    ) -> Step<'p, 'r> {
        let decision = Decision::open(self, request, now);
        let (answer, counted) = (None, None);
        Walk { policy: self, request, now, buckets, tokens, trace, answer, counted, decision }
            .walk()
    }

    /// Decides a request whose walk was paused. It begins anew with the same request, but limits that
    /// were spent are not spent again and nothing that was answered is asked again.
    #[expect(clippy::too_many_arguments, reason = "those of `decide` and what it asked")]
    pub fn resume<'p, 'r, V: SignatureVerifier>(
        &'p self,
        pause: &Pause,
        answer: Answer,
        request: &Request<'r>,
        now: Timestamp,
        buckets: &mut impl BucketStore,
        tokens: &mut Tokens<V>,
        trace: &mut impl Trace,
    ) -> Step<'p, 'r> {
        let mut decision = Decision::open(self, request, now);
        let spent = pause.spent.iter();
        decision.limits.extend(spent.filter_map(|&(id, state, taken, origin)| {
            let limit = self.limit(id)?;
            Some(LimitReport { id, limit, state, taken, origin })
        }));
        let (answer, counted) = match &pause.question {
            Question::Keys { .. } => (Some(answer), None),
            // It got as far as that with the keys that are there.
            Question::Fleet(inquiry) => (Some(Answer::Current), Some((Some(inquiry), answer))),
        };
        Walk { policy: self, request, now, buckets, tokens, trace, answer, counted, decision }
            .walk()
    }

    /// Decides a request where nothing can be found out: with the keys that are there, and by what this
    /// process has counted.
    pub fn decide_now<'p, 'r, V: SignatureVerifier>(
        &'p self,
        request: &Request<'r>,
        now: Timestamp,
        buckets: &mut impl BucketStore,
        tokens: &mut Tokens<V>,
        trace: &mut impl Trace,
    ) -> Decision<'p, 'r> {
        let decision = Decision::open(self, request, now);
        let (answer, counted) = (None, Some((None, Answer::Current)));
        let walk =
            Walk { policy: self, request, now, buckets, tokens, trace, answer, counted, decision };
        let mut step = walk.walk();
        loop {
            // What was answered is not asked again, so this ends.
            match step {
                Step::Done(decision) => return decision,
                Step::Ask(pause) => {
                    step =
                        self.resume(&pause, Answer::Current, request, now, buckets, tokens, trace);
                }
            }
        }
    }
}

/// One request on its way.
struct Walk<'w, 'p, 'r, S, V, T> {
    policy: &'p Policy,
    request: &'w Request<'r>,
    now: Timestamp,
    buckets: &'w mut S,
    tokens: &'w mut Tokens<V>,
    trace: &'w mut T,
    /// What became of the question for keys.
    answer: Option<Answer>,
    /// What became of a question to the rate limit service.
    counted: Option<(Option<&'w Inquiry>, Answer)>,
    decision: Decision<'p, 'r>,
}

impl<'p, 'r, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, 'r, S, V, T> {
    fn walk(mut self) -> Step<'p, 'r> {
        self.decision.verdict = match self.run() {
            Ok(grant) => Ok(grant),
            Err(Halt::Refused(denial)) => {
                if denial.is_failure() {
                    self.count_failure();
                }
                leave(&mut self.decision.limits, self.buckets);
                Err(denial)
            }
            Err(Halt::Ask(question)) => {
                let limits = self.decision.limits.iter();
                let spent = limits.map(|one| (one.id, one.state, one.taken, one.origin)).collect();
                return Step::Ask(Box::new(Pause { question, spent }));
            }
        };
        Step::Done(self.decision)
    }

    /// The order of checks.
    fn run(&mut self) -> Result<Grant, Halt> {
        self.read_form()?;
        self.locate_caller()?;
        self.refuse_denied_networks()?;
        // An unknown route is refused only after the address has paid: guessing paths is not free.
        let route = self.find_route();
        self.spend_address_limits()?;
        let route = route?;
        let shown = self.extract_credentials()?;
        self.authenticate(shown, route)?;
        self.authorise(route)?;
        self.recall_refusals(route)?;
        self.spend_limits(route)?;
        self.ask_fleet(route)?;
        Ok(if route.access == Access::Public { Grant::Public } else { Grant::Principal })
    }

    /// The route that owns the request. Routes with `access: deny` come first: deny wins.
    fn find_route(&mut self) -> Result<&'p Route, Denial> {
        let policy = self.policy;
        let method = self.decision.method.unwrap_or_default();
        let host = self.decision.host.as_deref().unwrap_or_default();
        let path = self.decision.path.as_ref().map(|path| path.as_str());
        let name = self.request.route_name.and_then(|name| str::from_utf8(name).ok());
        let refused = path
            .and_then(|path| policy.refuse.find_any(host, path, method))
            .or_else(|| policy.refuse_by_name.get(name?)?.covering(method));
        let found = match (refused, name.and_then(|name| policy.by_name.get(name))) {
            (Some(route), _) => Found::Route(route),
            (None, Some(methods)) => methods.find(method),
            (None, None) => {
                path.map_or(Found::Nothing, |path| policy.allow.find(host, path, method))
            }
        };
        let route = match found {
            Found::Route(id) => policy.route(id),
            Found::OtherMethods | Found::Nothing => None,
        };
        self.decision.route = route;
        self.trace.note(Stage::Route, || {
            let envoy_route =
                name.map(|name| format!(", envoy route `{name}`")).unwrap_or_default();
            let target = format!("{method} {host}{}{envoy_route}", path.unwrap_or_default());
            match (route, found) {
                (Some(route), _) => format!("{target}: `{}`", route.name()),
                (None, Found::Nothing) => format!("{target}: no route matches"),
                (None, _) => format!("{target}: the route does not allow this method"),
            }
        });
        match (route, found) {
            (Some(route), _) if route.access == Access::Deny => Err(Denial::RouteDenied),
            (Some(route), _) => Ok(route),
            (None, Found::OtherMethods) => Err(Denial::MethodNotAllowed),
            (None, _) => Err(Denial::RouteUnknown),
        }
    }
}
