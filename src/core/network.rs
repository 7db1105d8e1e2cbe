//! Named networks: which of them hold an address or a country.
//!
//! All ranges of a policy stand in one sorted table. Two ranges are nested or apart, so the range
//! that begins last before an address is the innermost that may hold it, and every other one that
//! does is among its parents: one binary search and a short walk answer for all networks at once.

use crate::address::{Address, Cidr};
use crate::sorted::{sort, sort_by_rank};
use crate::time::Timestamp;

/// Position of a network in its [`NetworkTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NetworkId(pub(crate) u16);

/// Where a request comes from by the word of Envoy's geoip filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(pub(crate) [u8; 2]);

impl Country {
    /// What stands for "no answer".
    pub(crate) const UNKNOWN: Self = Self(*b"??");

    /// Reads an ISO 3166-1 alpha-2 code in upper case; anything else is the unknown country.
    pub(crate) fn parse(text: &[u8]) -> Self {
        match text {
            [first, second] if first.is_ascii_uppercase() && second.is_ascii_uppercase() => {
                Self([*first, *second])
            }
            _ => Self::UNKNOWN,
        }
    }

    /// The code, or `unknown`.
    pub fn as_str(&self) -> &str {
        if *self == Self::UNKNOWN {
            return "unknown";
        }
        str::from_utf8(&self.0).unwrap_or("unknown")
    }
}

/// One range as the policy writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) cidr: Cidr,
    pub(crate) network: NetworkId,
    pub(crate) until: Option<Timestamp>,
}

/// Some networks of the policy, as a deny or an allow list names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetworkSet {
    members: Box<[NetworkId]>,
    needs_address: bool,
}

impl NetworkSet {
    pub(crate) fn new(members: Vec<NetworkId>, table: &NetworkTable) -> Self {
        let mut members = members;
        sort(&mut members);
        members.dedup();
        let has_ranges = |id: &NetworkId| table.has_ranges.get(usize::from(id.0)) == Some(&true);
        let needs_address = members.iter().any(has_ranges);
        Self { members: members.into(), needs_address }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn needs_address(&self) -> bool {
        self.needs_address
    }

    pub(crate) fn members(&self) -> &[NetworkId] {
        &self.members
    }

    fn contains(&self, id: NetworkId) -> bool {
        self.members.binary_search(&id).is_ok()
    }
}

/// One range in the sorted table.
#[derive(Clone, Debug)]
struct Range {
    entry: Entry,
    /// The next range in the table that holds this one.
    parent: Option<u32>,
}

/// Every network of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetworkTable {
    names: Box<[Box<str>]>,
    has_ranges: Box<[bool]>,
    ranges: Box<[Range]>,
    /// The ranks of the ranges' first addresses: close together and compared in one step.
    ranks: Box<[u64]>,
    countries: Box<[(Country, NetworkId)]>,
}

impl NetworkTable {
    pub(crate) fn new(
        names: Vec<Box<str>>,
        entries: Vec<Entry>,
        countries: Vec<(Country, NetworkId)>,
    ) -> Self {
        let mut has_ranges = vec![false; names.len()];
        for entry in &entries {
            if let Some(flag) = has_ranges.get_mut(usize::from(entry.network.0)) {
                *flag = true;
            }
        }
        let mut countries = countries;
        sort(&mut countries);
        let ranges = nest(entries);
        Self {
            names: names.into(),
            has_ranges: has_ranges.into(),
            ranks: ranges.iter().map(|range| range.entry.cidr.first().rank()).collect(),
            ranges,
            countries: countries.into(),
        }
    }

    pub(crate) fn name(&self, id: NetworkId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", |name| name)
    }

    /// The first network of a set that holds the caller.
    #[inline]
    pub(crate) fn find(
        &self,
        set: &NetworkSet,
        caller: &Caller,
        now: Timestamp,
    ) -> Option<NetworkId> {
        let by_address = |address| {
            self.holding(address)
                .filter(|entry| entry.until.is_none_or(|until| now < until))
                .map(|entry| entry.network)
                .find(|network| set.contains(*network))
        };
        let by_country = || {
            let country = caller.country?;
            let start = self.countries.partition_point(|(other, _)| *other < country);
            let rest = self.countries.get(start..)?;
            rest.iter()
                .take_while(|(other, _)| *other == country)
                .map(|(_, network)| *network)
                .find(|network| set.contains(*network))
        };
        caller.address.filter(|_| set.needs_address).and_then(by_address).or_else(by_country)
    }

    /// Every range that holds an address, innermost first.
    #[inline]
    fn holding(&self, address: Address) -> impl Iterator<Item = &Entry> {
        let rank = address.rank();
        let mut after = self.ranks.partition_point(|other| *other <= rank);
        let begins_later = |range: &Range| range.entry.cidr.first() > address;
        if after.checked_sub(1).and_then(|last| self.ranges.get(last)).is_some_and(begins_later) {
            // Ranges of one rank, and only some of them begin before: their order is that of addresses.
            after = self.ranges.partition_point(|range| !begins_later(range));
        }
        let mut next = after.checked_sub(1);
        std::iter::from_fn(move || {
            let range = self.ranges.get(next?)?;
            next = range.parent.and_then(|parent| usize::try_from(parent).ok());
            Some(&range.entry)
        })
        .filter(move |entry| entry.cidr.contains(address))
    }
}

/// What is known of where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) address: Option<Address>,
    pub(crate) country: Option<Country>,
}

/// Sorts ranges outer before inner and links each to the one around it.
fn nest(mut entries: Vec<Entry>) -> Box<[Range]> {
    let order =
        |entry: &Entry| (entry.cidr.first(), entry.cidr.length(), entry.network, entry.until);
    sort_by_rank(&mut entries, |entry| entry.cidr.first().rank(), |a, b| order(a).cmp(&order(b)));
    let mut ranges: Vec<Range> = Vec::with_capacity(entries.len());
    let mut around: Vec<u32> = Vec::new();
    for entry in entries {
        while let Some(outer) = around.last() {
            let outer = usize::try_from(*outer).ok().and_then(|outer| ranges.get(outer));
            if outer.is_some_and(|outer| outer.entry.cidr.contains(entry.cidr.first())) {
                break;
            }
            around.pop();
        }
        let parent = around.last().copied();
        if let Ok(position) = u32::try_from(ranges.len()) {
            around.push(position);
        }
        ranges.push(Range { entry, parent });
    }
    ranges.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn table(entries: &[(&str, u16, Option<u64>)], countries: &[(&[u8; 2], u16)]) -> NetworkTable {
        let entry = |(text, network, until): &(&str, u16, Option<u64>)| Entry {
            cidr: Cidr::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")),
            network: NetworkId(*network),
            until: until.map(Timestamp::from_unix_nanos),
        };
        NetworkTable::new(
            ["a", "b", "c"].map(Box::from).to_vec(),
            entries.iter().map(entry).collect(),
            countries.iter().map(|(code, id)| (Country(**code), NetworkId(*id))).collect(),
        )
    }

    fn found(
        table: &NetworkTable,
        ids: &[u16],
        address: &str,
        country: Option<&[u8]>,
        now: u64,
    ) -> Option<u16> {
        let set = NetworkSet::new(ids.iter().map(|id| NetworkId(*id)).collect(), table);
        let caller = Caller {
            address: Address::parse(address.as_bytes()),
            country: country.map(Country::parse),
        };
        table.find(&set, &caller, Timestamp::from_unix_nanos(now)).map(|id| id.0)
    }

    #[test]
    fn nested_ranges_are_all_found() {
        let table = table(
            &[
                ("10.0.0.0/8", 0, None),
                ("10.1.0.0/16", 1, None),
                ("10.1.2.0/24", 2, Some(100)),
                ("10.1.2.0/24", 1, None),
            ],
            &[],
        );
        assert_eq!(found(&table, &[0], "10.1.2.3", None, 0), Some(0));
        assert_eq!(found(&table, &[2], "10.1.2.3", None, 99), Some(2));
        assert_eq!(found(&table, &[2], "10.1.2.3", None, 100), None);
        assert_eq!(found(&table, &[1], "10.1.3.3", None, 0), Some(1));
        assert_eq!(found(&table, &[1], "10.2.0.0", None, 0), None);
        assert_eq!(found(&table, &[0], "10.255.255.255", None, 0), Some(0));
        assert_eq!(found(&table, &[0, 1, 2], "11.0.0.0", None, 0), None);
    }

    #[test]
    fn ranges_of_one_rank_are_told_apart() {
        let table = table(
            &[
                ("2001:db8::/32", 0, None),
                ("2001:db8::1/128", 1, None),
                ("2001:db8::5/128", 1, None),
                ("2001:db8:0:1::/64", 2, None),
            ],
            &[],
        );
        for (address, held) in
            [("::", [0].as_slice()), ("::1", &[0, 1]), ("::3", &[0]), ("::5", &[0, 1])]
        {
            let address = format!("2001:db8{address}");
            for network in 0..3 {
                let expected = held.contains(&network).then_some(network);
                assert_eq!(found(&table, &[network], &address, None, 0), expected, "{address}");
            }
        }
        assert_eq!(found(&table, &[1, 2], "2001:db8:0:1::1", None, 0), Some(2));
        assert_eq!(found(&table, &[0, 1, 2], "2001:db7:ffff::", None, 0), None);
    }

    #[test]
    fn families_stay_apart() {
        // I15
        let table = table(&[("0.0.0.0/0", 0, None), ("::/0", 1, None)], &[]);
        assert_eq!(found(&table, &[0], "2001:db8::1", None, 0), None);
        assert_eq!(found(&table, &[1], "2001:db8::1", None, 0), Some(1));
        assert_eq!(found(&table, &[1], "192.0.2.1", None, 0), None);
    }

    #[test]
    fn countries_and_ranges_add_up() {
        let table = table(&[("10.0.0.0/8", 0, None)], &[(b"KP", 1), (b"??", 1), (b"KP", 0)]);
        assert_eq!(found(&table, &[0], "192.0.2.1", Some(b"KP"), 0), Some(0));
        assert_eq!(found(&table, &[1], "10.0.0.1", Some(b"kp"), 0), Some(1));
        assert_eq!(found(&table, &[1], "10.0.0.1", Some(b"DE"), 0), None);
        assert_eq!(found(&table, &[1], "10.0.0.1", None, 0), None);
    }
}
