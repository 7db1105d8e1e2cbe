//! The rate limit service, and the limits that it counts.

use super::super::diagnostic::{Report, code};
use super::super::forms::parse_timeout;
use super::super::place::Place;
use super::read;
use crate::limit::{self, FleetPart, Limit, OnError};
use crate::node::Node;

/// The service, and into how many shares a limit is cut without it.
pub(super) struct Fleet {
    pub(super) service: limit::Fleet,
    processes: u64,
}

pub(super) fn compile(document: &Node<'_>, report: &mut Report) -> Option<Fleet> {
    let node = document.member("fleet")?;
    let service = limit::Fleet {
        cluster: read::text(node, "cluster").unwrap_or_default().into(),
        domain: read::text(node, "domain").unwrap_or("portcullis").into(),
        timeout: read::text(node, "timeout").and_then(parse_timeout).unwrap_or(20_000_000),
        on_error: match read::text(node, "on_error") {
            Some("deny") => OnError::Deny,
            Some("allow") => OnError::Allow,
            _ => OnError::Local,
        },
    };
    let processes = read::size(node, "processes").and_then(|count| count.try_into().ok());
    if processes.is_none() && service.on_error == OnError::Local {
        let message = "without the service each process would admit the whole limit";
        let help =
            "say how many Envoys there are, `1` for one, or what is to be done with `on_error`";
        let place = Place::TOP.field("fleet");
        report.warning(code::MISSING_FIELD, &place.field("processes"), message, help);
    }
    Some(Fleet { service, processes: processes.unwrap_or(1) })
}

/// Makes a limit the fleet's, if it says so.
pub(super) fn part(
    node: &Node<'_>,
    fleet: Option<&Fleet>,
    windows: &mut [Limit],
    place: &Place<'_>,
    report: &mut Report,
) {
    let lease = read::size(node, "lease").and_then(|lease| u32::try_from(lease).ok()).unwrap_or(1);
    if read::text(node, "scope") != Some("fleet") {
        if node.member("lease").is_some() {
            let message = "this process counts for itself, and takes its own leases";
            let help = "leave it out, or write `scope: fleet`";
            report.error(code::FIELD_WITHOUT_EFFECT, &place.field("lease"), message, help);
        }
        return;
    }
    let Some(fleet) = fleet else {
        let message = "the policy has no `fleet`";
        let help = "name with `fleet` the cluster of the rate limit service";
        return report.error(code::MISSING_FIELD, &place.field("scope"), message, help);
    };
    let has = |field| node.member(field).is_some();
    if !(has("rate") || has("quota")) || has("charge") || has("counts") {
        let message = "a limit of the fleet has one `rate` or `quota`, and counts every request";
        let help = "make a limit of each window: the service is asked about each by its name";
        return report.error(code::FIELDS_CONFLICT, &place.field("scope"), message, help);
    }
    for limit in windows {
        if u64::from(lease) > limit.quota.burst() {
            let message = "is more than a full bucket holds: it would never be granted";
            report.error(code::OUT_OF_BOUNDS, &place.field("lease"), message, "");
        }
        limit.fleet = Some(Box::new(FleetPart::new(limit, lease, fleet.processes)));
    }
}
