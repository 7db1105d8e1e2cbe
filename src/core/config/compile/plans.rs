//! Plans: limits that consumers name together.

use super::super::diagnostic::Report;
use super::super::place::Place;
use super::limits::Limits;
use super::names::Names;
use super::read;
use crate::limit::LimitId;
use crate::node::Node;

/// The plans of a policy.
pub(super) struct Plans<'n> {
    pub(super) names: Names<'n>,
    /// The limits of each, in the order of the names.
    limits: Vec<Vec<LimitId>>,
}

impl<'n> Plans<'n> {
    pub(super) fn compile(
        document: &'n Node<'n>,
        limits: &Limits<'_>,
        report: &mut Report,
    ) -> Self {
        let names = Names::new(document, "plans", "plan", report);
        let section = Place::TOP.field("plans");
        let of_plan = |(name, node): (&str, &Node<'_>)| {
            limits.ids(node, "limits", &section.field(name), report)
        };
        Self { limits: names.nodes().map(of_plan).collect(), names }
    }

    /// The position of a consumer's plan, and all limits of its own: the plan's, then those that it names
    /// besides.
    pub(super) fn of_consumer(
        &self,
        node: &Node<'_>,
        limits: &Limits<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) -> (Option<u16>, Box<[LimitId]>) {
        let name = read::text(node, "plan");
        let plan = name.and_then(|name| self.names.resolve(name, &place.field("plan"), report));
        let of_plan = plan.and_then(|plan| self.limits.get(usize::from(plan)));
        let mut all = of_plan.cloned().unwrap_or_default();
        for id in limits.ids(node, "limits", place, report) {
            if !all.contains(&id) {
                all.push(id);
            }
        }
        (plan, all.into())
    }

    pub(super) fn finish(&self) -> Box<[Box<str>]> {
        self.names.iter().map(Box::from).collect()
    }
}
