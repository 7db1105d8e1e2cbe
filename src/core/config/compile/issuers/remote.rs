//! Key sets that are fetched: from where, how often, for how long they are good.

use super::super::super::diagnostic::{Report, code};
use super::super::super::forms::{authority_of, parse_duration};
use super::super::super::place::Place;
use super::super::read;
use crate::authn::issuer::Remote;
use crate::node::Node;
use crate::time::SECOND;

/// Bounds in seconds: the least, the most, and what holds without the field.
struct Bounds(&'static str, u64, u64, u64);

const DAY: u64 = 86_400;
const REFRESH: Bounds = Bounds("refresh", 1, DAY, 300);
const TIMEOUT: Bounds = Bounds("timeout", 1, 60, 3);
const MAX_STALE: Bounds = Bounds("max_stale", 1, 30 * DAY, DAY);
const COOLDOWN: Bounds = Bounds("cooldown", 1, 300, 5);

pub(super) fn compile(
    keys: &Node<'_>,
    issuer: &str,
    place: &Place<'_>,
    report: &mut Report,
) -> Remote {
    let discovers = read::flag(keys, "discovery");
    let path = read::text(keys, "path");
    match (path, discovers) {
        (None, false) => {
            let message = "a cluster needs `path`, or `discovery: true`";
            report.error(code::MISSING_FIELD, place, message, "say where on it the key set is");
        }
        (Some(_), true) => {
            let message = "`path` and `discovery` exclude each other";
            report.error(code::FIELDS_CONFLICT, place, message, "leave one out");
        }
        _ => {}
    }
    let authority = read::text(keys, "authority").or_else(|| authority_of(issuer));
    if authority.is_none() {
        let message = "`authority` is missing, and the `issuer` is no URL that names one";
        report.error(code::MISSING_FIELD, place, message, "name the host that serves the keys");
    }
    let [refresh, timeout, max_stale, cooldown] =
        [REFRESH, TIMEOUT, MAX_STALE, COOLDOWN].map(|bounds| seconds(keys, &bounds, place, report));
    if max_stale < refresh {
        let message = "is shorter than `refresh`: keys would be too old before they are renewed";
        report.error(code::OUT_OF_BOUNDS, &place.field("max_stale"), message, "");
    }
    if cooldown > refresh {
        let message = "is longer than `refresh`: keys could not be renewed in time";
        report.error(code::OUT_OF_BOUNDS, &place.field("cooldown"), message, "");
    }
    let nanos = |seconds: u64| seconds.saturating_mul(SECOND);
    Remote {
        cluster: read::text(keys, "cluster").unwrap_or_default().into(),
        authority: authority.unwrap_or_default().into(),
        path: path.map(Box::from),
        refresh: nanos(refresh),
        timeout: nanos(timeout),
        max_stale: nanos(max_stale),
        cooldown: nanos(cooldown),
    }
}

fn seconds(keys: &Node<'_>, bounds: &Bounds, place: &Place<'_>, report: &mut Report) -> u64 {
    let Bounds(field, least, most, otherwise) = *bounds;
    let given = read::text(keys, field).and_then(parse_duration);
    if given.is_some_and(|seconds| !(least..=most).contains(&seconds)) {
        let message = format!("must be from {least} to {most} seconds");
        report.error(code::OUT_OF_BOUNDS, &place.field(field), message, "");
    }
    given.unwrap_or(otherwise)
}
