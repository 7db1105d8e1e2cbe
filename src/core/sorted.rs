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
    let by_position = |a: &usize, b: &usize| match (items.get(*a), items.get(*b)) {
        (Some(first), Some(second)) => compare(first, second),
        _ => Ordering::Equal,
    };
    let mut targets = targets(items.len(), &by_position);
    // Each swap puts one item where it belongs, so there are at most as many as items.
    for position in 0..items.len() {
        while let Some(target) = targets.get(position).copied().filter(|at| *at != position) {
            items.swap(position, target);
            targets.swap(position, target);
        }
    }
}

/// For every position the one that its item belongs to.
fn targets(count: usize, compare: &dyn Fn(&usize, &usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(compare);
    let mut targets = vec![0; count];
    for (target, position) in order.into_iter().enumerate() {
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
        }
    }
}
