//! Lists that are nearly always short: the first items need no memory of their own.

/// A list of items, the first `N` of them in place.
#[derive(Debug)]
pub struct Few<T, const N: usize> {
    // INVARIANT: filled from the front, and `more` is empty unless it is full.
    first: [Option<T>; N],
    more: Vec<T>,
}

impl<T, const N: usize> Few<T, N> {
    pub(crate) fn push(&mut self, item: T) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(item),
            None => self.more.push(item),
        }
    }

    /// The items in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().flatten().chain(&self.more)
    }
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self { first: [const { None }; N], more: Vec::new() }
    }
}

impl<T, const N: usize> Extend<T> for Few<T, N> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_order_is_kept_beyond_the_first() {
        let mut few = Few::<_, 2>::default();
        few.extend(0..5);
        few.push(5);
        assert!(few.iter().copied().eq(0..6));
    }
}
