//! Named networks, and the lists that name them.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms;
use super::super::place::Place;
use super::names::Names;
use super::read;
use crate::address::Cidr;
use crate::network::{Country, Entry, NetworkId, NetworkSet, NetworkTable};
use crate::node::Node;
use crate::sorted::sort_by_rank;
use crate::time::Timestamp;

/// The networks of a policy.
pub(super) struct Networks<'n> {
    pub(super) names: Names<'n>,
    pub(super) table: NetworkTable,
    /// Those that hold the unknown country, which only deny lists may name.
    with_unknown: Vec<u16>,
}

pub(super) fn compile<'n>(document: &'n Node<'n>, report: &mut Report) -> Networks<'n> {
    let names = Names::new(document, "networks", "network", report);
    let section = Place::TOP.field("networks");
    let members = document.member("networks").map(Node::members).unwrap_or_default();
    let (mut entries, mut countries) = (Vec::new(), Vec::new());
    let mut with_unknown = Vec::new();
    for (name, network) in members {
        let Some(id) = names.position(name) else { continue };
        let place = section.field(name);
        ranges(network, NetworkId(id), &place, &mut entries, report);
        for (_, text) in read::texts(network, "countries") {
            if forms::COUNTRY.holds(text) {
                countries.push((Country::parse(text.as_bytes()), NetworkId(id)));
            }
            if text == "unknown" {
                with_unknown.push(id);
            }
        }
        if network.member("countries").is_some() && document.member("country_header").is_none() {
            let message = "no `country_header` is set, so no request has a country";
            let help =
                "name the header that Envoy's geoip filter sets: `country_header: x-geo-country`";
            report.error(code::COUNTRY_HEADER_MISSING, &place.field("countries"), message, help);
        }
    }
    let table = NetworkTable::new(names.iter().map(Box::from).collect(), entries, countries);
    Networks { names, table, with_unknown }
}

/// The ranges of one network; the same range twice is reported.
fn ranges(
    network: &Node<'_>,
    id: NetworkId,
    place: &Place<'_>,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) {
    let place = place.field("cidrs");
    let mut seen: Vec<(Cidr, usize)> = Vec::new();
    for (index, item) in read::items(network, "cidrs").iter().enumerate() {
        let text = item.as_text().or_else(|| read::text(item, "cidr"));
        let Some(cidr) = text.and_then(|text| Cidr::parse(text).ok()) else { continue };
        let until = read::text(item, "until").and_then(Timestamp::parse_rfc3339);
        seen.push((cidr, index));
        entries.push(Entry { cidr, network: id, until });
    }
    sort_by_rank(&mut seen, |(cidr, _)| cidr.first().rank(), Ord::cmp);
    for pair in seen.windows(2) {
        let [(first, earlier), (second, later)] = pair else { continue };
        if first == second {
            let message = format!("is the same range as entry {earlier}");
            report.error(code::DUPLICATE_ENTRY, &place.item(*later), message, "leave one out");
        }
    }
}

impl Networks<'_> {
    /// The networks that a deny list names.
    pub(super) fn set(
        &self,
        node: &Node<'_>,
        field: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> NetworkSet {
        self.list(node, field, place, report, |_, _, _| {})
    }

    /// The networks that an allow list names. A caller whose country is not known is nowhere: no
    /// allow list may let it in.
    pub(super) fn allow_set(
        &self,
        node: &Node<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) -> NetworkSet {
        self.list(node, "networks", place, report, |id, place, report| {
            if self.with_unknown.contains(&id) {
                let message = "this network holds the country `unknown`, and an allow list must not let it in";
                let help = "make a network of its own for it, and deny that";
                report.error(code::COUNTRY_ALLOWED, place, message, help);
            }
        })
    }

    fn list(
        &self,
        node: &Node<'_>,
        field: &str,
        place: &Place<'_>,
        report: &mut Report,
        judge: impl Fn(u16, &Place<'_>, &mut Report),
    ) -> NetworkSet {
        let list = place.field(field);
        let mut members = Vec::new();
        for (index, name) in read::texts(node, field) {
            if let Some(id) = self.names.resolve(name, &list.item(index), report) {
                judge(id, &list.item(index), report);
                members.push(NetworkId(id));
            }
        }
        NetworkSet::new(members, &self.table)
    }

    /// Reports networks that stand in the allow list and the deny list of one thing.
    pub(super) fn report_both(
        &self,
        allow: &NetworkSet,
        deny: &NetworkSet,
        place: &Place<'_>,
        report: &mut Report,
    ) {
        for id in allow.members().iter().filter(|id| deny.members().contains(id)) {
            let name = Shown(self.table.name(*id));
            let message = format!("{name} is in `networks` and in `deny`, and deny wins");
            report.error(code::FIELDS_CONFLICT, place, message, "take it out of one of them");
        }
    }
}
