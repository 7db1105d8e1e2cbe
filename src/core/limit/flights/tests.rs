use std::collections::HashMap;

use super::*;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// What all workers share, with a clock that can be set.
#[derive(Default)]
struct Values {
    held: HashMap<Shared, (Vec<u8>, u32)>,
    now: u64,
    resets: usize,
}

impl SharedValues for Values {
    fn read(&mut self, at: Shared, into: &mut Vec<u8>) -> Result<u32, StoreFault> {
        let (bytes, version) = self.held.entry(at).or_insert((Vec::new(), 1));
        into.clone_from(bytes);
        Ok(*version)
    }

    fn swap(&mut self, at: Shared, value: &[u8], version: u32) -> Result<bool, StoreFault> {
        let (held, current) = self.held.entry(at).or_insert((Vec::new(), 1));
        let is_current = *current == version;
        if is_current {
            (*held, *current) = (value.to_vec(), version + 1);
        }
        Ok(is_current)
    }

    fn clock(&mut self) -> Result<u64, StoreFault> {
        Ok(self.now)
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

impl Values {
    fn new() -> Self {
        Self { now: 1_000 * SECOND, ..Self::default() }
    }

    fn enter(&mut self, vm: &mut Flights, tag: u64, most: u16) -> Entry {
        vm.enter(self, 0, tag, most).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn leave(&mut self, vm: &mut Flights, place: Place) {
        assert_eq!(vm.leave(self, place), Ok(()));
    }

    fn tick(&mut self, vm: &mut Flights) {
        assert_eq!(vm.tick(self), Ok(()));
    }

    /// As many as are let in, at most this many.
    fn fill(&mut self, vm: &mut Flights, tag: u64, most: u16) -> Vec<Place> {
        let entered = (0..most.saturating_add(2)).map_while(|_| match self.enter(vm, tag, most) {
            Entry::Entered(place, _) => Some(place),
            Entry::Full(_) | Entry::Contended => None,
        });
        entered.collect()
    }
}

fn vms<const N: usize>() -> [Flights; N] {
    std::array::from_fn(|number| Flights::new((number as u64 + 1) << 16))
}

/// Marsaglia's xorshift64.
fn dice(state: &mut u64, sides: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % sides
}

#[test]
fn counts_are_of_all_workers_and_of_one_key() {
    let (mut values, [mut one, mut two]) = (Values::new(), vms());
    let Entry::Entered(first, 1) = values.enter(&mut one, 7, 3) else { panic!() };
    assert!(matches!(values.enter(&mut two, 7, 3), Entry::Entered(_, 2)));
    assert!(matches!(values.enter(&mut two, 7, 3), Entry::Entered(_, 3)));
    assert_eq!(values.enter(&mut one, 7, 3), Entry::Full(3));
    // A smaller limit of the same key, as after a reload.
    assert_eq!(values.enter(&mut two, 7, 1), Entry::Full(3));
    assert!(matches!(values.enter(&mut one, 8, 3), Entry::Entered(_, 1)));
    values.leave(&mut one, first);
    assert!(matches!(values.enter(&mut one, 7, 3), Entry::Entered(_, 3)));
    // A place that nobody has is given up without harm.
    values.leave(&mut two, Place { set: 9, tag: 9 });
    assert_eq!(values.enter(&mut two, 7, 3), Entry::Full(3));
}

#[test]
fn the_most_that_may_be_is_counted_exactly() {
    let (mut values, [mut one, mut two]) = (Values::new(), vms());
    let places = values.fill(&mut one, 7, u16::MAX);
    assert_eq!(places.len(), usize::from(u16::MAX));
    assert_eq!(values.enter(&mut two, 7, u16::MAX), Entry::Full(u16::MAX));
    for place in places {
        values.leave(&mut one, place);
    }
    assert!(one.is_idle());
    assert_eq!(values.held[&Shared::Set(0)].0, b"");
}

#[test]
fn newcomers_of_a_full_set_share_one_count() {
    // W09
    let (mut values, [mut one, mut two]) = (Values::new(), vms());
    let places: Vec<_> = (1..=512).flat_map(|tag| values.fill(&mut one, tag, 1)).collect();
    let counted = |entry| match entry {
        Entry::Entered(place, count) => (place.tag == SHARED, count),
        Entry::Full(_) | Entry::Contended => panic!("{entry:?}"),
    };
    assert_eq!(counted(values.enter(&mut one, 1_000, 3)), (true, 1));
    assert_eq!(counted(values.enter(&mut two, 1_000, 3)), (true, 2));
    assert_eq!(counted(values.enter(&mut two, 2_000, 3)), (true, 3));
    for tag in [1_000, 2_000, 3_000] {
        assert_eq!(values.enter(&mut one, tag, 3), Entry::Full(3), "{tag}");
    }
    // It counts for those who have a place, too.
    assert_eq!(values.enter(&mut two, 5, 4), Entry::Full(4));
    assert_eq!(counted(values.enter(&mut one, 5, 5)), (false, 5));
    places.iter().take(3).for_each(|place| values.leave(&mut one, *place));
    assert_eq!(counted(values.enter(&mut two, 3_000, 4)), (false, 4));
}

#[test]
fn a_crowded_set_makes_limits_tighter_and_never_looser() {
    // W09
    let (mut values, mut all, most) = (Values::new(), vms::<4>(), 8);
    let (mut state, mut open, mut shared) = (1, Vec::new(), 0);
    for number in 0..6_000 {
        // The set fills up, is full, and empties.
        let enters = dice(&mut state, 100) < [90, 60, 20][number / 2_000];
        let at = usize::try_from(dice(&mut state, 4)).unwrap_or_default();
        if enters {
            // Many keys come, then a few newcomers, then any.
            let (from, many) = [(1, 300), (2_000, 2), (1, 2_100)][number / 2_000];
            let tag = from + dice(&mut state, many);
            if let Entry::Entered(place, count) = values.enter(&mut all[at], tag, most) {
                shared += usize::from(place.tag == SHARED);
                let of_key = open.iter().filter(|(_, held, _)| *held == tag).count();
                assert!(of_key < usize::from(count) && count <= most, "{of_key} {count}");
                open.push((at, tag, place));
            }
        } else if !open.is_empty() {
            let which = usize::try_from(dice(&mut state, open.len() as u64)).unwrap_or_default();
            let (at, _, place) = open.swap_remove(which);
            values.leave(&mut all[at], place);
        }
        assert!(values.held[&Shared::Set(0)].0.len() <= ROOM * 16);
    }
    assert!(shared > 0, "nobody shared");
    for (at, _, place) in open {
        values.leave(&mut all[at], place);
    }
    assert!(all.iter().all(Flights::is_idle));
    assert_eq!(values.held[&Shared::Set(0)].0, b"");
}

#[test]
fn a_full_roster_lets_nobody_in_until_somebody_dies() {
    let mut values = Values::new();
    let enter = |values: &mut Values, vm: u16| {
        let mut flights = Flights::new(u64::from(vm) << 16);
        flights.enter(values, vm, 7, 1).unwrap_or_else(|fault| panic!("{fault:?}"))
    };
    for vm in 1..=512 {
        assert!(matches!(enter(&mut values, vm), Entry::Entered(_, 1)), "{vm}");
    }
    assert_eq!(enter(&mut values, 600), Entry::Contended);
    values.now += LIFE + 1;
    assert!(matches!(enter(&mut values, 600), Entry::Entered(_, 1)));
}

#[test]
fn whatever_is_written_there_is_survived() {
    // L08, W10
    let (mut values, [mut one, mut two]) = (Values::new(), vms());
    let mut state = 1;
    for number in 0..2_000_u32 {
        let length = dice(&mut state, 5) * 16 + if dice(&mut state, 2) == 0 { 0 } else { 3 };
        let junk: Vec<u8> = (0..length).map(|_| dice(&mut state, 256).to_le_bytes()[0]).collect();
        let at = if number % 2 == 0 { Shared::Roster } else { Shared::Set(0) };
        values.held.insert(at, (junk, number + 1));
        values.now += dice(&mut state, 2 * SECOND);
        let places = values.fill(&mut one, 7, 3);
        assert!(places.len() <= 3);
        values.tick(&mut two);
        for place in places {
            values.leave(&mut one, place);
        }
        // Nobody of whom is heard wrote it.
        assert_eq!(values.fill(&mut two, 7, 3).len(), 3, "{number}");
        let places: Vec<_> = two.own.keys().copied().collect();
        for place in places.iter().cycle().take(3) {
            values.leave(&mut two, *place);
        }
        assert!(one.is_idle() && two.is_idle());
    }
    assert!(values.resets > 500, "{}", values.resets);
    values.held.clear();
    values.resets = 0;
    for (bytes, resets) in [(vec![0; 16], 1), (vec![1; ROOM * 16 + 16], 2), (vec![1; 15], 3)] {
        values.held.insert(Shared::Set(0), (bytes, 1));
        assert!(matches!(values.enter(&mut one, 7, 9), Entry::Entered(..)));
        assert_eq!(values.resets, resets);
    }
}

#[test]
fn no_clock_voids_the_living_or_keeps_the_dead() {
    // Three VMs have one request each, and one of them dies. The clock is set at will, and then runs.
    for seed in 1..500 {
        let (mut values, [mut one, mut two, mut dead, mut other]) = (Values::new(), vms());
        let mut state = seed;
        for vm in [&mut one, &mut two, &mut dead] {
            assert!(matches!(values.enter(vm, 7, 3), Entry::Entered(..)), "{seed}");
        }
        for _ in 0..dice(&mut state, 20) {
            values.now = match dice(&mut state, 4) {
                0 => dice(&mut state, u64::MAX),
                1 => values.now.saturating_sub(dice(&mut state, 10 * SECOND)),
                2 => values.now.saturating_add(dice(&mut state, 10 * SECOND)),
                _ => values.now,
            };
            match dice(&mut state, 4) {
                0 => values.tick(&mut one),
                1 => values.tick(&mut two),
                2 => {
                    for place in values.fill(&mut other, 7, 3) {
                        values.leave(&mut other, place);
                    }
                }
                _ => {}
            }
        }
        for second in 0..4 {
            values.tick(&mut one);
            values.tick(&mut two);
            let more = values.fill(&mut other, 7, 2);
            assert!(
                more.is_empty() || second == 0,
                "{seed}: the living count when they are heard of"
            );
            for place in more {
                values.leave(&mut other, place);
            }
            values.now = values.now.saturating_add(SECOND);
        }
        assert_eq!(values.fill(&mut other, 7, 3).len(), 1, "{seed}: the dead count no more");
    }
}
