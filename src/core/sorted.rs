//! Sorting in one instance of machine code.
//!
//! The standard library's sorts are made anew for every type, 6 to 15 KB of Wasm each, and Envoy
//! compiles all of a module before the first request. Policies are sorted once, while they are
//! compiled: there a comparison behind a pointer costs nothing that matters.

use std::cmp::Ordering;

/// Sorts by the type's own order.
pub(crate) fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by an order; what is equal keeps its place.
pub(crate) fn sort_by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    sort_by_rank(items, |_| 0, compare);
}

/// Sorts by an order that the rank of an item foretells: of two items with different ranks the one
/// with the smaller rank comes first. Only items of one rank are compared, so a good rank makes
/// sorting 100,000 items several times faster.
pub(crate) fn sort_by_rank<T>(
    items: &mut [T],
    rank: impl Fn(&T) -> u64,
    compare: impl Fn(&T, &T) -> Ordering,
) {
    let by_position = |a: usize, b: usize| match (items.get(a), items.get(b)) {
        (Some(first), Some(second)) => compare(first, second),
        _ => Ordering::Equal,
    };
    let ranks = items.iter().map(rank).zip(0..).collect();
    let mut targets = targets(ranks, &by_position);
    // Each swap puts one item where it belongs, so there are at most as many as items.
    for position in 0..items.len() {
        while let Some(target) = targets.get(position).copied().filter(|at| *at != position) {
            items.swap(position, target);
            targets.swap(position, target);
        }
    }
}

/// The rank of a text in the order of bytes.
pub(crate) fn rank_of(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(text).for_each(|(slot, byte)| *slot = *byte);
    u64::from_be_bytes(first)
}

/// For every position the one that its item belongs to.
fn targets(mut order: Vec<(u64, usize)>, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    // With the position as the last word this is stable, and half the code of the stable sort.
    order
        .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(a.1, b.1)).then(a.1.cmp(&b.1)));
    let mut targets = vec![0; order.len()];
    for (target, (_, position)) in order.into_iter().enumerate() {
        if let Some(slot) = targets.get_mut(position) {
            *slot = target;
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn sorts_as_the_standard_library_does() {
        let mut state = 1_u64;
        for length in [0, 1, 2, 3, 10, 257] {
            let mut items: Vec<(u64, usize)> = (0..length)
                .map(|position| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 60, position)
                })
                .collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort_by(&mut items, |a, b| a.0.cmp(&b.0));
            assert_eq!(items, expected);
            items.reverse();
            sort(&mut items);
            assert_eq!(items, expected);
            items.reverse();
            sort_by_rank(&mut items, |item| item.0 >> 2, Ord::cmp);
            assert_eq!(items, expected);
        }
    }

    #[test]
    fn a_rank_foretells_the_order_of_texts() {
        let texts = ["", "\0", "a", "a\0", "ab", "abcdefgh", "abcdefghi", "b"];
        for pair in texts.windows(2) {
            assert!(rank_of(pair[0].as_bytes()) <= rank_of(pair[1].as_bytes()), "{pair:?}");
        }
    }
}
