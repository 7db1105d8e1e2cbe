//! Limits: their windows and keys, and the lists that name them.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms::{MAX_BURST, parse_quota, parse_rate};
use super::super::place::Place;
use super::fleet::{self, Fleet};
use super::names::Names;
use super::read;
use crate::limit::{Calendar, KeyParts, Limit, LimitId, Quota, unit_of};
use crate::node::Node;

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
    report: &mut Report,
) -> Limits<'n> {
    let names = Names::new(document, "limits", "limit", report);
    let section = Place::TOP.field("limits");
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for (name, node) in names.nodes() {
        let place = section.field(name);
        let start = all.len();
        limit(name, node, &place, &mut all, report);
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
    report: &mut Report,
) {
    let has = |part| read::texts(node, "key").any(|(_, text)| text == part);
    let key = KeyParts {
        consumer: has("consumer"),
        credential: has("credential"),
        address: has("address"),
        route: has("route"),
    };
    let observe = read::text(node, "mode") == Some("observe");
    let mut add = |window, quota| {
        all.push(Limit { observe, ..Limit::new(name, window, quota, key.clone()) });
    };
    let list = place.field("windows");
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

    /// The ids of the windows of the limit at this position.
    fn windows(&self, position: usize) -> impl Iterator<Item = LimitId> + use<> {
        let end = |position: Option<usize>| position.and_then(|at| self.ends.get(at).copied());
        let id = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let start = id(end(position.checked_sub(1)).unwrap_or(0));
        let end = id(end(Some(position)).unwrap_or(0));
        (start..end).map(LimitId)
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
        self.all.get(usize::from(id.0)).is_some_and(|limit| limit.key.is_address_alone())
    }

    /// Whether any limit counts by address.
    pub(super) fn need_address(&self) -> bool {
        self.all.iter().any(|limit| limit.key.address)
    }

    /// Whether any limit is a fleet's.
    pub(super) fn has_fleet(&self) -> bool {
        self.all.iter().any(|limit| limit.fleet.is_some())
    }

    pub(super) fn finish(self) -> Box<[Limit]> {
        self.all.into()
    }
}
