//! Values by a text: names of Envoy's routes, token ids, claims that say whose a token is.

use std::collections::HashMap;

/// A table of values by a text. Whatever the values are, one instance of the hash table's machine code
/// serves them: each further one would be a kilobyte or two of the module.
#[derive(Clone, Debug)]
pub(crate) struct Lookup<V> {
    places: HashMap<Box<str>, usize>,
    values: Vec<V>,
}

impl<V> Default for Lookup<V> {
    fn default() -> Self {
        Self { places: HashMap::new(), values: Vec::new() }
    }
}

impl<V> Lookup<V> {
    pub(crate) fn get(&self, text: &str) -> Option<&V> {
        self.places.get(text).and_then(|place| self.values.get(*place))
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.places.contains_key(text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a text; where there is none yet, this one, and true.
    pub(crate) fn entry(&mut self, text: &str, value: V) -> (Option<&mut V>, bool) {
        let fresh = self.values.len();
        let place = *self.places.entry(text.into()).or_insert(fresh);
        if place == fresh {
            self.values.push(value);
        }
        (self.values.get_mut(place), place == fresh)
    }
}

impl<'t, V> FromIterator<(&'t str, V)> for Lookup<V> {
    /// Of two values of one text the first is kept.
    fn from_iter<I: IntoIterator<Item = (&'t str, V)>>(pairs: I) -> Self {
        let mut lookup = Self::default();
        for (text, value) in pairs {
            lookup.entry(text, value);
        }
        lookup
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_first_value_of_a_text_stays() {
        let mut lookup = Lookup::from_iter([("a", 1), ("b", 2), ("a", 3)]);
        assert_eq!((lookup.get("a"), lookup.get("b"), lookup.get("c")), (Some(&1), Some(&2), None));
        assert_eq!(lookup.entry("a", 4), (Some(&mut 1), false));
        assert_eq!(lookup.entry("c", 5), (Some(&mut 5), true));
        assert!(lookup.contains("c") && !lookup.contains("C") && !lookup.is_empty());
    }
}
