//! Key ids that the issuer is known not to have: a second token with one of them need not wait.

use std::hash::Hasher;

use portcullis_core::Timestamp;
use siphasher::sip::SipHasher13;

use super::state::DataId;

/// Ids that are remembered. A newcomer takes the place that its hash names, whoever is there: being
/// forgotten costs a caller a wait and the issuer nothing, because fetches have their cool-down.
const PLACES: usize = 1_024;

/// A bounded memory. The hash is keyed, so nobody can aim at a place; and it is over the set that
/// the id was not found in, so nothing is remembered across a change of the set.
pub(super) struct Unknown {
    secret: [u8; 16],
    places: Vec<(u64, Timestamp)>,
}

impl Unknown {
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Self { secret, places: Vec::new() }
    }

    /// Remembers an id until `until`.
    pub(super) fn put(&mut self, source: usize, set: &DataId, id: &str, until: Timestamp) {
        if self.places.is_empty() {
            self.places = vec![(0, Timestamp::default()); PLACES];
        }
        let hash = self.hash(source, set, id);
        if let Some(place) = self.places.get_mut(place_of(hash)) {
            *place = (hash, until);
        }
    }

    /// Whether an id is known to be none of the set's.
    pub(super) fn has(&self, source: usize, set: &DataId, id: &str, now: Timestamp) -> bool {
        let hash = self.hash(source, set, id);
        self.places.get(place_of(hash)).is_some_and(|(held, until)| *held == hash && now < *until)
    }

    fn hash(&self, source: usize, set: &DataId, id: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write_usize(source);
        hasher.write(set);
        hasher.write(id.as_bytes());
        hasher.finish()
    }
}

fn place_of(hash: u64) -> usize {
    let [low, high, ..] = hash.to_le_bytes();
    usize::from(u16::from_le_bytes([low, high])).checked_rem(PLACES).unwrap_or(0)
}
