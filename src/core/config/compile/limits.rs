//! Limits: their quotas and keys, and the lists that name them.

use super::super::diagnostic::{Report, code};
use super::super::forms::{MAX_BURST, parse_rate};
use super::super::place::Place;
use super::names::Names;
use super::read;
use crate::limit::{KeyParts, Limit, LimitId, Quota};
use crate::node::Node;

/// The limits of a policy.
pub(super) struct Limits<'n> {
    pub(super) names: Names<'n>,
    /// Key and quota in the order of the names; no quota where it was refused.
    limits: Vec<(KeyParts, Option<Quota>)>,
}

pub(super) fn compile<'n>(document: &'n Node<'n>, report: &mut Report) -> Limits<'n> {
    let names = Names::new(document, "limits", "limit", report);
    let place = Place::TOP.field("limits");
    let limit = |(name, node): (&str, &Node<'_>)| {
        let has = |part| read::texts(node, "key").any(|(_, text)| text == part);
        let key = KeyParts {
            consumer: has("consumer"),
            credential: has("credential"),
            address: has("address"),
            route: has("route"),
        };
        (key, quota(node, &place.field(name), report))
    };
    Limits { limits: names.nodes().map(limit).collect(), names }
}

fn quota(node: &Node<'_>, place: &Place<'_>, report: &mut Report) -> Option<Quota> {
    let (count, period) = read::text(node, "rate").and_then(parse_rate)?;
    let burst = match node.member("burst") {
        Some(Node::Number(number)) if *number >= 1.0 && *number <= f64::from(MAX_BURST) => {
            whole(*number)
        }
        Some(_) => return None,
        None => count,
    };
    if burst > u64::from(MAX_BURST) {
        let message = format!(
            "without `burst` a full bucket would hold {count} requests, more than {MAX_BURST}"
        );
        report.error(
            code::MISSING_FIELD,
            place,
            message,
            "say with `burst` how many may come at once",
        );
        return None;
    }
    let quota = Quota::new(count, period, burst);
    if quota.is_none() {
        let message = "an empty bucket would take more than 366 days to fill";
        report.error(code::OUT_OF_BOUNDS, place, message, "raise `rate` or lower `burst`");
    }
    quota
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to MAX_BURST")]
const fn whole(number: f64) -> u64 {
    number as u64
}

impl Limits<'_> {
    /// The limits that a list names.
    pub(super) fn ids(
        &self,
        node: &Node<'_>,
        field: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Vec<LimitId> {
        let list = place.field(field);
        read::texts(node, field)
            .filter_map(|(index, name)| self.names.resolve(name, &list.item(index), report))
            .map(LimitId)
            .collect()
    }

    /// Those that count by address alone: they are spent before a credential is read.
    pub(super) fn by_address_alone(&self, ids: &[LimitId]) -> Box<[LimitId]> {
        ids.iter().copied().filter(|id| self.is_address_alone(*id)).collect()
    }

    /// All others.
    pub(super) fn by_more(&self, ids: &[LimitId]) -> Box<[LimitId]> {
        ids.iter().copied().filter(|id| !self.is_address_alone(*id)).collect()
    }

    pub(super) fn is_address_alone(&self, id: LimitId) -> bool {
        self.limits.get(usize::from(id.0)).is_some_and(|(key, _)| key.is_address_alone())
    }

    /// Whether any limit counts by address.
    pub(super) fn need_address(&self) -> bool {
        self.limits.iter().any(|(key, _)| key.address)
    }

    pub(super) fn finish(self) -> Box<[Limit]> {
        let limits = self.names.iter().zip(&self.limits);
        let limit = |(name, (key, quota)): (&str, &(KeyParts, Option<Quota>))| {
            Some(Limit::new(name, (*quota)?, *key))
        };
        limits.filter_map(limit).collect()
    }
}
