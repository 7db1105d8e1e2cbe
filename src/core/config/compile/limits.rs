//! Limits: their windows and keys, and the lists that name them.

mod key;

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms::{MAX_BURST, parse_quota, parse_rate};
use super::super::place::Place;
use super::fleet::{self, Fleet};
use super::names::Names;
use super::{header, read};
use crate::limit::{Calendar, ChargeRule, KeyParts, Limit, LimitId, Quota, unit_of};
use crate::node::Node;

pub(super) use key::Sources;

/// Most windows of a limit: each is looked at on every request.
const MAX_WINDOWS: usize = 8;

/// Most windows of all limits together: the ids of a limit are a range of numbers with 16 bits.
const MAX_LIMITS: usize = 65_535;

/// The limits of a policy.
pub(super) struct Limits<'n> {
    pub(super) names: Names<'n>,
    /// All windows of all limits, in the order of the names. Those that were refused are missing.
    all: Vec<Limit>,
    /// Where in `all` the windows of each name end.
    ends: Vec<usize>,
}

pub(super) fn compile<'n>(
    document: &'n Node<'n>,
    fleet: Option<&Fleet>,
    sources: &mut Sources<'_>,
    report: &mut Report,
) -> Limits<'n> {
    let names = Names::new(document, "limits", "limit", report);
    let section = Place::TOP.field("limits");
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for (name, node) in names.nodes() {
        let place = section.field(name);
        let start = all.len();
        limit(name, node, &place, &mut all, sources, report);
        let windows = all.get_mut(start..).unwrap_or_default();
        fleet::part(node, fleet, windows, &place, report);
        ends.push(all.len());
    }
    if all.len() > MAX_LIMITS {
        let message = format!("holds more than {MAX_LIMITS} windows");
        report.error(code::OUT_OF_BOUNDS, &section, message, "");
    }
    Limits { names, all, ends }
}

/// Adds the windows of a limit.
fn limit(
    name: &str,
    node: &Node<'_>,
    place: &Place<'_>,
    all: &mut Vec<Limit>,
    sources: &mut Sources<'_>,
    report: &mut Report,
) {
    let key = key::parts(node, place, sources, report);
    let observe = read::text(node, "mode") == Some("observe");
    let failures = read::text(node, "counts") == Some("failures");
    let charge = charge(node);
    if failures {
        report_failures(&key, charge.is_some(), place, report);
    }
    if let Some(most) = read::size(node, "concurrent").and_then(|most| u16::try_from(most).ok()) {
        if failures || charge.is_some() {
            let message = "it counts what is in flight, and no tokens";
            let help = "leave `counts` and `charge` out, or write a limit of their own";
            report.error(code::FIELDS_CONFLICT, &place.field("concurrent"), message, help);
        }
        let limit = Limit::of_flights(sources.gateway, name, most, key);
        return all.extend(limit.map(|limit| Limit { observe, ..limit }));
    }
    let list = place.field("windows");
    let mut add = |window, quota: Quota| {
        let quota = charge.as_ref().map_or(quota, |charge| quota.with_debt(charge.max));
        let charge = charge.clone().map(Box::new);
        let limit = Limit::new(sources.gateway, name, window, quota, key.clone());
        all.push(Limit { observe, failures, charge, ..limit });
    };
    let windows = match node.member("windows") {
        None => return window(node, place, report).into_iter().for_each(|quota| add(None, quota)),
        Some(windows) => windows.items(),
    };
    read::bound(node, "windows", MAX_WINDOWS, &list, report);
    let mut units: Vec<&str> = Vec::new();
    for (index, node) in windows.iter().enumerate() {
        let place = list.item(index);
        let text = read::text(node, "rate").or(read::text(node, "quota"));
        let Some((text, quota)) = text.zip(window(node, &place, report)) else { continue };
        let unit = unit_of(text);
        if units.contains(&unit) {
            let message = format!("another window of the limit counts by {} too", Shown(unit));
            let help = "leave one out, or write its rate in another unit";
            report.error(code::DUPLICATE_ENTRY, &place, message, help);
        }
        units.push(unit);
        add(Some(text).filter(|_| windows.len() > 1), quota);
    }
}

/// How the response tells what a request has cost.
fn charge(node: &Node<'_>) -> Option<ChargeRule> {
    let rule = node.member("charge")?;
    Some(ChargeRule {
        header: read::text(rule, "header").and_then(header)?,
        max: read::size(rule, "max").and_then(|max| u32::try_from(max).ok())?,
        forward: read::flag(rule, "forward"),
    })
}

/// What does not go with counting failures.
fn report_failures(key: &KeyParts, is_charged: bool, place: &Place<'_>, report: &mut Report) {
    if key.address.is_none() || !key.is_place_alone() {
        let message = "failures are counted by address, and perhaps by route: whom a guess is about must \
                       not pay for it, and those who do not guess must not either";
        let help = "write `key: [address]`, `[{address: {v4: 24, v6: 56}}]` or `[address, route]`";
        report.error(code::FIELDS_CONFLICT, &place.field("key"), message, help);
    }
    if is_charged {
        let message = "a request that is refused has no response of an upstream";
        report.error(code::FIELDS_CONFLICT, &place.field("charge"), message, "leave it out");
    }
}

/// The quota of a window, or of a limit that has no other.
fn window(node: &Node<'_>, place: &Place<'_>, report: &mut Report) -> Option<Quota> {
    match read::text(node, "quota") {
        Some(text) => quota(text, node, place, report),
        None => rate(node, place, report),
    }
}

fn rate(node: &Node<'_>, place: &Place<'_>, report: &mut Report) -> Option<Quota> {
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

/// The quota of a calendar window, and when the window begins.
fn quota(text: &str, node: &Node<'_>, place: &Place<'_>, report: &mut Report) -> Option<Quota> {
    let (count, calendar) = parse_quota(text)?;
    let calendar = match (calendar, node.member("resets")) {
        (calendar, None) => calendar,
        (Calendar::Week(_), Some(Node::Text(word))) => Calendar::Week(weekday(word)?),
        (Calendar::Month(_), Some(Node::Number(_))) => {
            Calendar::Month(read::size(node, "resets").and_then(|day| u8::try_from(day).ok())?)
        }
        _ => {
            let message = "does not go with the unit of the quota";
            let help = "a week begins on a weekday, a month on a number from 1 to 28, others where they begin";
            report.error(code::FIELDS_CONFLICT, &place.field("resets"), message, help);
            return None;
        }
    };
    Quota::of_window(count, calendar)
}

/// A weekday as the days after Thursday.
fn weekday(word: &str) -> Option<u8> {
    const DAYS: [&str; 7] =
        ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];
    DAYS.iter().position(|day| *day == word).and_then(|day| u8::try_from(day).ok())
}

impl Limits<'_> {
    /// The limits that a list names, with all their windows.
    pub(super) fn ids(
        &self,
        node: &Node<'_>,
        field: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Vec<LimitId> {
        let list = place.field(field);
        let mut ids = Vec::new();
        for (index, name) in read::texts(node, field) {
            if let Some(position) = self.names.resolve(name, &list.item(index), report) {
                ids.extend(self.windows(position.into()));
            }
        }
        ids
    }

    /// The limits that a list names of one whose credential is good.
    pub(super) fn of_caller(
        &self,
        node: &Node<'_>,
        field: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Vec<LimitId> {
        let ids = self.ids(node, field, place, report);
        for (index, name) in read::texts(node, field) {
            let Some(position) = self.names.position(name) else { continue };
            if self.windows(position.into()).any(|id| self.is(id, |limit| limit.failures)) {
                let message = format!("{} counts failures, and these are nobody's", Shown(name));
                let help = "name it in `global_limits` or in the `limits` of a route";
                report.error(code::FIELDS_CONFLICT, &place.field(field).item(index), message, help);
            }
        }
        ids
    }

    /// The ids of the windows of the limit at this position.
    fn windows(&self, position: usize) -> impl Iterator<Item = LimitId> + use<> {
        let end = |position: Option<usize>| position.and_then(|at| self.ends.get(at).copied());
        let id = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let start = id(end(position.checked_sub(1)).unwrap_or(0));
        let end = id(end(Some(position)).unwrap_or(0));
        (start..end).map(LimitId)
    }

    /// Those that are looked at before a credential is read: they count by address alone, or failures.
    pub(super) fn early(&self, ids: &[LimitId]) -> Box<[LimitId]> {
        ids.iter().copied().filter(|id| self.is(*id, Limit::is_early)).collect()
    }

    /// All others.
    pub(super) fn late(&self, ids: &[LimitId]) -> Box<[LimitId]> {
        ids.iter().copied().filter(|id| !self.is(*id, Limit::is_early)).collect()
    }

    fn is(&self, id: LimitId, what: impl Fn(&Limit) -> bool) -> bool {
        self.all.get(usize::from(id.0)).is_some_and(what)
    }

    /// Whether any limit counts by address.
    pub(super) fn need_address(&self) -> bool {
        self.all.iter().any(|limit| limit.key.address.is_some())
    }

    /// Whether any limit is a fleet's.
    pub(super) fn has_fleet(&self) -> bool {
        self.all.iter().any(|limit| limit.fleet.is_some())
    }

    pub(super) fn finish(self) -> Box<[Limit]> {
        self.all.into()
    }
}
