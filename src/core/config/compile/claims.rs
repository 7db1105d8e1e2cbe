//! Conditions on claims: which claims a policy asks for, and what each must be.

use super::super::diagnostic::{Report, Shown, code};
use super::super::place::Place;
use super::read;
use crate::authn::claim_value::{ClaimPath, Condition, Scalar};
use crate::authn::token::ClaimId;
use crate::node::Node;
use crate::route::{ClaimRule, Must, PathPattern};
use crate::sorted::sort_by;

/// Most conditions of a route, and most claims that all of them and the keys of limits are about: every
/// token is searched for each of these.
const MAX_CONDITIONS: usize = 16;
const MAX_CLAIMS: usize = 256;
/// Most paths of a route with a condition on a parameter: each request may be held against all of them.
const MAX_PATHS: usize = 64;

/// The claims that the routes of a policy ask for, and those that its limits count by.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) all: Vec<ClaimPath>,
}

impl Claims {
    /// The position of a claim that is named here.
    pub(super) fn id(
        &mut self,
        path: ClaimPath,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Option<ClaimId> {
        let found = self.all.iter().position(|other| *other == path);
        let position = found.unwrap_or(self.all.len());
        if position >= MAX_CLAIMS {
            let message = format!("routes and limits name more than {MAX_CLAIMS} claims");
            report.error(code::OUT_OF_BOUNDS, place, message, "");
            return None;
        }
        if found.is_none() {
            self.all.push(path);
        }
        u16::try_from(position).ok().map(ClaimId)
    }

    /// The conditions of a route with these paths.
    pub(super) fn rules(
        &mut self,
        route: &Node<'_>,
        paths: &[(usize, PathPattern)],
        place: &Place<'_>,
        report: &mut Report,
    ) -> Box<[ClaimRule]> {
        let list = place.field("claims");
        read::bound(route, "claims", MAX_CONDITIONS, &list, report);
        let mut rules = Vec::new();
        for (index, node) in read::items(route, "claims").iter().enumerate().take(MAX_CONDITIONS) {
            let place = list.item(index);
            let name = read::text(node, "claim").unwrap_or_default();
            let Some(path) = ClaimPath::dotted(name) else { continue };
            let Some(claim) = self.id(path, &place.field("claim"), report) else { continue };
            if let Some(must) = must(node, paths, &place, report) {
                rules.push(ClaimRule { claim, name: name.into(), must });
            }
        }
        rules.into()
    }
}

fn must(
    node: &Node<'_>,
    paths: &[(usize, PathPattern)],
    place: &Place<'_>,
    report: &mut Report,
) -> Option<Must> {
    let scalar = |field| node.member(field).and_then(Scalar::of);
    if let Some(scalar) = scalar("equals") {
        return Some(Must::Hold(Condition::Equals(scalar)));
    }
    if let Some(scalar) = scalar("contains") {
        return Some(Must::Hold(Condition::Contains(scalar)));
    }
    if node.member("one_of").is_some() {
        let scalars = read::items(node, "one_of").iter().filter_map(Scalar::of).collect();
        return Some(Must::Hold(Condition::OneOf(scalars)));
    }
    let parameter = read::text(node, "path_parameter")?;
    let mut places: Vec<_> = paths
        .iter()
        .filter_map(|(_, pattern)| Some((pattern.clone(), pattern.position(parameter)?)))
        .collect();
    // The first that matches is then the one that owns the request.
    sort_by(&mut places, |(one, _), (other, _)| one.specificity().cmp(other.specificity()));
    if places.len() > MAX_PATHS {
        let message = format!("the route has more than {MAX_PATHS} paths to look for it in");
        report.error(code::OUT_OF_BOUNDS, &place.field("path_parameter"), message, "");
    }
    if places.is_empty() || places.len() < paths.len() {
        let message =
            format!("not all of the route's paths have the parameter {}", Shown(parameter));
        let help = format!("write `{{{parameter}}}` as a segment of each of them");
        report.error(code::UNKNOWN_NAME, &place.field("path_parameter"), message, help);
        return None;
    }
    Some(Must::EqualParameter(places.into()))
}
