//! What Envoy's filters behind this one are told of a request that goes on: what they limit by.

use std::borrow::Cow;

use crate::decision::Decision;
use crate::json::push_number;

/// A fact about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Who calls: a verified principal and nobody else.
    Consumer,
    /// The plan of who calls.
    Plan,
    /// The route that the request belongs to.
    Route,
    /// How many tokens it takes from every limit.
    Cost,
}

impl Fact {
    pub(crate) const ALL: [Self; 4] = [Self::Consumer, Self::Plan, Self::Route, Self::Cost];

    /// The fact's name in the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Plan => "plan",
            Self::Route => "route",
            Self::Cost => "cost",
        }
    }
}

impl Decision<'_, '_> {
    /// What the filters behind are told of the request if it goes on: of what the policy names, all that
    /// it has, as visible ASCII.
    #[inline]
    pub fn handed_over(&self) -> impl Iterator<Item = (Fact, Cow<'_, [u8]>)> {
        let facts = Fact::ALL.into_iter().zip(self.policy.hand_over).filter(|(_, asked)| *asked);
        facts.filter_map(|(fact, _)| Some((fact, self.fact(fact)?)))
    }

    fn fact(&self, fact: Fact) -> Option<Cow<'_, [u8]>> {
        match fact {
            Fact::Consumer => Some(self.principal.as_ref()?.header_name().as_bytes().into()),
            Fact::Plan => {
                let consumer = self.principal.as_ref()?.consumer?;
                Some(self.policy.plan(consumer)?.as_bytes().into())
            }
            Fact::Route => Some(self.route?.name().as_bytes().into()),
            Fact::Cost => {
                let mut digits = Vec::new();
                push_number(&mut digits, self.route?.cost.into());
                Some(digits.into())
            }
        }
    }
}
