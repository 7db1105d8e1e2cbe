//! Tokens that were verified before, so that a token costs its signature once and not on every request.
//!
//! An entry is found by its whole text, which is compared byte by byte: no other text can match it. A
//! keyed hash only says where to look. Only verified tokens enter, so bad ones can neither fill it nor
//! drive good ones out.

use std::hash::Hasher as _;
use std::rc::Rc;

use siphasher::sip::SipHasher13;

use super::jwks::Version;
use super::token::Token;
use super::tokens::Keyring;
use crate::bytes::same;
use crate::time::Timestamp;

/// Places that one token can take.
const WAYS: usize = 4;

/// Characters at the end of a token that say where it belongs. No signature is shorter.
const TAIL: usize = 32;

/// A bounded cache for one thread and one policy.
pub struct TokenCache {
    /// A power of two of sets, or none; a token's hash names its set.
    sets: Box<[[Option<Entry>; WAYS]]>,
    secret: [u8; 16],
    held: usize,
    hits: u64,
    misses: u64,
}

/// Where a token's text belongs. It says so for one cache only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(u64);

struct Entry {
    spot: Spot,
    text: Box<[u8]>,
    keys: Version,
    used: Timestamp,
    token: Rc<Token>,
}

impl TokenCache {
    /// Most tokens of a cache.
    const MAX: usize = 65_536;

    /// A cache for this many tokens, rounded up to a power of two, at least 4; 0 is none.
    pub(crate) fn new(tokens: usize, secret: [u8; 16]) -> Self {
        let sets = match tokens {
            0 => 0,
            some => some.clamp(WAYS, Self::MAX).next_power_of_two() / WAYS,
        };
        let sets = (0..sets).map(|_| Default::default()).collect();
        Self { sets, secret, held: 0, hits: 0, misses: 0 }
    }

    /// Where a text belongs, by its length and its end, which are of the signature. Only verified tokens
    /// are kept, so nobody makes two of one end without an issuer's key, and a forged token with the end
    /// of a good one only fails to be it.
    #[inline]
    pub(crate) fn spot(&self, text: &[u8]) -> Spot {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(text.last_chunk::<TAIL>().map_or(text, |tail| tail));
        hasher.write_usize(text.len());
        Spot(hasher.finish())
    }

    /// The token of a text, if it is still one: before its end, and verified by keys that are still in
    /// force.
    #[inline]
    pub(crate) fn find(
        &mut self,
        spot: Spot,
        text: &[u8],
        keyring: &Keyring,
        now: Timestamp,
    ) -> Option<Rc<Token>> {
        let mut ways = self.set(spot).iter_mut().flatten();
        let found = ways.find(|entry| entry.spot == spot && same(&entry.text, text));
        let found = found.filter(|entry| {
            now < entry.token.end && keyring.version(entry.token.issuer, now) == Some(entry.keys)
        });
        let token = found.map(|entry| {
            entry.used = now;
            Rc::clone(&entry.token)
        });
        let count = if token.is_some() { &mut self.hits } else { &mut self.misses };
        *count = count.wrapping_add(1);
        token
    }

    /// Keeps a token that was just verified by the keys in force. It takes the place of its own older
    /// entry, of none, of one that has ended, or of the one that was not used for longest.
    pub(crate) fn insert(
        &mut self,
        spot: Spot,
        text: &[u8],
        keyring: &Keyring,
        token: &Rc<Token>,
        now: Timestamp,
    ) {
        let Some(keys) = keyring.version(token.issuer, now) else { return };
        if token.is_large() {
            return;
        }
        let worth = |place: &Option<Entry>| match place {
            Some(held) if held.spot == spot && same(&held.text, text) => (0, Timestamp::default()),
            None => (1, Timestamp::default()),
            Some(held) if held.token.end <= now => (2, held.used),
            Some(held) => (3, held.used),
        };
        let Some(place) = self.set(spot).iter_mut().min_by_key(|place| worth(place)) else {
            return;
        };
        let entry = Entry { spot, text: text.into(), keys, used: now, token: Rc::clone(token) };
        if place.replace(entry).is_none() {
            self.held = self.held.saturating_add(1);
        }
    }

    /// Tokens that are kept, those that have ended included.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Look-ups that found a token, and those that did not, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    #[inline]
    fn set(&mut self, spot: Spot) -> &mut [Option<Entry>] {
        let mask = self.sets.len().saturating_sub(1);
        // The low bits: as many as there are sets.
        let at = usize::try_from(spot.0 & u64::try_from(mask).unwrap_or(0)).unwrap_or(0);
        self.sets.get_mut(at).map_or(&mut [], |set| &mut set[..])
    }
}

#[cfg(test)]
mod tests {
    use std::cell::OnceCell;

    use super::*;
    use crate::authn::algorithm::Algorithm;
    use crate::authn::base64url::encode;
    use crate::authn::issuer::IssuerId;
    use crate::authn::secrets::SecretSet;
    use crate::authn::tokens::Keys;
    use crate::authz::ScopeSet;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ISSUER: IssuerId = IssuerId(0);

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }

    fn token(end: u64) -> Rc<Token> {
        Rc::new(Token {
            issuer: ISSUER,
            name: "corp:alpha".into(),
            subject_at: 5,
            header_name: None,
            consumer: None,
            key_id: None,
            id: None,
            end: at(end),
            scopes: ScopeSet::default(),
            claims: Box::default(),
            headers: Box::default(),
            record: OnceCell::new(),
        })
    }

    fn keyring(byte: u8, until: u64) -> Keyring {
        let secret = encode(&[byte; 32]);
        let mut keyring = Keyring::default();
        match SecretSet::read(Algorithm::Hs256, [Some(secret.as_bytes())]) {
            Ok(secrets) => keyring.put(ISSUER, Keys::Secret(secrets), at(until)),
            Err(fault) => panic!("{fault:?}"),
        }
        keyring
    }

    struct Tried(TokenCache);

    impl Tried {
        fn finds(&mut self, text: &[u8], keys: &Keyring, now: u64) -> bool {
            let spot = self.0.spot(text);
            self.0.find(spot, text, keys, at(now)).is_some()
        }

        fn insert(&mut self, text: &[u8], keys: &Keyring, end: u64, now: u64) {
            let spot = self.0.spot(text);
            self.0.insert(spot, text, keys, &token(end), at(now));
        }
    }

    #[test]
    fn an_entry_dies_with_its_token_and_its_keys() {
        // J72
        let (mut cache, keys) = (Tried(TokenCache::new(16, [1; 16])), keyring(1, 80));
        cache.insert(b"t", &keys, 60, 10);
        assert!(cache.finds(b"t", &keys, 10) && cache.finds(b"t", &keys, 59));
        assert!(!cache.finds(b"t", &keys, 60));
        assert!(!cache.finds(b"t", &keyring(2, 80), 10));
        assert!(!cache.finds(b"t", &keyring(1, 10), 10));
        assert!(!cache.finds(b"t", &Keyring::default(), 10));
        assert!(!cache.finds(b"t ", &keys, 10) && !cache.finds(b"", &keys, 10));
        assert_eq!(cache.0.counts(), (2, 6));
    }

    #[test]
    fn the_same_spot_is_not_the_same_token() {
        // J72
        let (mut cache, keys) = (TokenCache::new(16, [1; 16]), keyring(1, u64::MAX));
        let spot = cache.spot(b"a");
        cache.insert(spot, b"a", &keys, &token(u64::MAX), at(0));
        assert!(cache.find(spot, b"a", &keys, at(1)).is_some());
        assert!(cache.find(spot, b"b", &keys, at(1)).is_none());
    }

    #[test]
    fn a_token_with_the_end_of_another_is_not_that_one() {
        // J72
        let (mut cache, keys) = (Tried(TokenCache::new(16, [1; 16])), keyring(1, u64::MAX));
        let [good, other] = ["good", "evil"].map(|start| format!("{start}.{}", "s".repeat(TAIL)));
        assert_eq!(cache.0.spot(good.as_bytes()), cache.0.spot(other.as_bytes()));
        cache.insert(good.as_bytes(), &keys, u64::MAX, 0);
        assert!(cache.finds(good.as_bytes(), &keys, 1) && !cache.finds(other.as_bytes(), &keys, 1));
        cache.insert(other.as_bytes(), &keys, u64::MAX, 2);
        assert!(cache.finds(good.as_bytes(), &keys, 3) && cache.finds(other.as_bytes(), &keys, 3));
        assert_ne!(cache.0.spot(good.as_bytes()), cache.0.spot(&good.as_bytes()[1..]));
        assert_ne!(
            cache.0.spot(good.as_bytes()),
            TokenCache::new(16, [2; 16]).spot(good.as_bytes())
        );
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (mut cache, keys) = (Tried(TokenCache::new(64, [1; 16])), keyring(1, u64::MAX));
        cache.insert(b"used", &keys, u64::MAX, 0);
        for number in 1..10_000_u64 {
            cache.insert(&number.to_le_bytes(), &keys, u64::MAX, number);
            assert!(cache.finds(b"used", &keys, number), "{number}");
        }
        assert_eq!(cache.0.len(), 64);
        cache.insert(b"again", &keys, 20_000, 10_000);
        cache.insert(b"again", &keys, 30_000, 10_000);
        assert!(cache.finds(b"again", &keys, 25_000));
        assert_eq!(cache.0.len(), 64);
        let mut none = Tried(TokenCache::new(0, [1; 16]));
        none.insert(b"t", &keys, u64::MAX, 0);
        assert!(!none.finds(b"t", &keys, 1) && none.0.is_empty());
    }
}
