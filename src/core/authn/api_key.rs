//! API keys: found by the digest of what was shown, then judged by state, consumer and time.

use sha2::{Digest as _, Sha256};

use super::key_text::{Form, form};
use crate::authz::ScopeSetId;
use crate::policy::ConsumerId;
use crate::reason::Denial;
use crate::time::Timestamp;

/// SHA-256 of a key's text. Only digests are kept; a key cannot be printed, for it is not there.
pub(crate) type KeyDigest = [u8; 32];

/// Longest text that is taken for a key, in bytes.
const MAX_KEY: usize = 512;

/// The digest of a key's text.
pub fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    Active,
    /// Still good; its use is shown, so that its end can be planned.
    Retiring,
    Revoked,
}

/// A configured key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub(crate) id: Box<str>,
    pub(crate) digest: KeyDigest,
    pub(crate) consumer: ConsumerId,
    pub(crate) scopes: ScopeSetId,
    pub(crate) state: KeyState,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
}

impl ApiKey {
    /// The key's id in the policy, safe to print.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first instant at which the key is refused.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether the key is in its retiring state.
    pub fn is_retiring(&self) -> bool {
        self.state == KeyState::Retiring
    }

    /// Whether the key is in its revoked state.
    pub fn is_revoked(&self) -> bool {
        self.state == KeyState::Revoked
    }

    /// Whether the key is good now.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Denial> {
        if self.state == KeyState::Revoked {
            Err(Denial::KeyRevoked)
        } else if self.not_before.is_some_and(|start| now < start) {
            Err(Denial::KeyNotYetValid)
        } else if self.expires.is_some_and(|end| end <= now) {
            Err(Denial::KeyExpired)
        } else {
            Ok(())
        }
    }
}

/// Every key of a policy, found by digest.
///
/// A digest is its own hash: it is uniform, and a caller who could choose one would have broken
/// SHA-256. For the same reason the comparison need not take constant time: what it tells is about
/// the digest of a guess.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyTable {
    keys: Box<[ApiKey]>,
    /// Position in `keys` plus one, 0 for an empty slot; a power of two of slots, half of them empty.
    slots: Box<[u32]>,
    /// Whether keys in other formats than Portcullis's own exist.
    accepts_opaque: bool,
}

impl KeyTable {
    /// Indexes keys with distinct digests.
    pub(crate) fn new(keys: Vec<ApiKey>, accepts_opaque: bool) -> Self {
        let size = keys.len().saturating_mul(2).next_power_of_two().max(2);
        let mut table = Self { keys: keys.into(), slots: vec![0; size].into(), accepts_opaque };
        for (position, key) in table.keys.iter().enumerate() {
            let free = probe(&key.digest, size).find(|slot| table.slots.get(*slot) == Some(&0));
            if let Some(slot) = free.and_then(|slot| table.slots.get_mut(slot)) {
                *slot = u32::try_from(position.saturating_add(1)).unwrap_or(0);
            }
        }
        table
    }

    /// The key of this text. Its form is judged first: what cannot be a key is not even hashed.
    pub(crate) fn find(&self, text: &[u8]) -> Option<&ApiKey> {
        let worth_hashing = match form(text) {
            Form::Portcullis => true,
            Form::Damaged => false,
            Form::Other => self.accepts_opaque && !text.is_empty() && text.len() <= MAX_KEY,
        };
        if worth_hashing { self.by_digest(&digest(text)) } else { None }
    }

    fn by_digest(&self, digest: &KeyDigest) -> Option<&ApiKey> {
        probe(digest, self.slots.len())
            .map_while(|slot| self.slots.get(slot).and_then(|position| position.checked_sub(1)))
            .filter_map(|position| self.keys.get(usize::try_from(position).ok()?))
            .find(|key| key.digest == *digest)
    }

    pub(crate) fn keys(&self) -> &[ApiKey] {
        &self.keys
    }
}

/// The slots for a digest in the order to try them, each once.
fn probe(digest: &KeyDigest, size: usize) -> impl Iterator<Item = usize> {
    let start = digest.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let mask = size.saturating_sub(1);
    (0..size)
        .map(move |step| usize::try_from(start).unwrap_or(usize::MAX).wrapping_add(step) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn key(text: &str) -> ApiKey {
        ApiKey {
            id: text.into(),
            digest: digest(text.as_bytes()),
            consumer: ConsumerId(0),
            scopes: ScopeSetId(0),
            state: KeyState::Active,
            not_before: None,
            expires: None,
        }
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        let texts: Vec<String> = (0..1_000).map(|number| format!("legacy-{number}")).collect();
        let table = KeyTable::new(texts.iter().map(|text| key(text)).collect(), true);
        for text in &texts {
            assert_eq!(table.find(text.as_bytes()).map(ApiKey::id), Some(text.as_str()));
        }
        for text in ["", "legacy-1000", "legacy-", "LEGACY-1", "legacy-1\0"] {
            assert!(table.find(text.as_bytes()).is_none(), "{text}");
        }
        assert!(KeyTable::default().find(b"legacy-1").is_none());
        let strict = KeyTable::new(vec![key("legacy-1")], false);
        assert!(strict.find(b"legacy-1").is_none());
    }

    #[test]
    fn a_key_lives_from_its_first_to_before_its_last_instant() {
        // K09
        let at = Timestamp::from_unix_nanos;
        let bounded = ApiKey { not_before: Some(at(10)), expires: Some(at(20)), ..key("k") };
        assert_eq!(bounded.check(at(9)), Err(Denial::KeyNotYetValid));
        assert_eq!(bounded.check(at(10)), Ok(()));
        assert_eq!(bounded.check(at(19)), Ok(()));
        assert_eq!(bounded.check(at(20)), Err(Denial::KeyExpired));
        let revoked = ApiKey { state: KeyState::Revoked, ..bounded };
        assert_eq!(revoked.check(at(15)), Err(Denial::KeyRevoked));
    }
}
