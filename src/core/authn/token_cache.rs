//! Tokens that were verified before, so that a token costs its signature once and not on every request.
//!
//! Found by the SHA-256 of the whole text: another text with the same digest would be a break of
//! SHA-256. Only verified tokens enter, so bad ones can neither fill it nor drive good ones out.

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::jwks::Version;
use super::token::{Keyring, Token};
use crate::time::Timestamp;

/// Places that one token can take.
const WAYS: usize = 4;

/// A bounded cache for one thread.
#[derive(Debug)]
pub struct TokenCache {
    /// A power of two of sets; a digest's first bytes name its set.
    sets: Box<[[Option<Entry>; WAYS]]>,
    hits: u64,
    misses: u64,
}

/// The digest of a token's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

#[derive(Debug)]
struct Entry {
    digest: TokenDigest,
    generation: u64,
    keys: Version,
    used: Timestamp,
    token: Rc<Token>,
}

impl TokenDigest {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl TokenCache {
    /// A cache for this many tokens, rounded up to a power of two, at least 4 and at most 65,536.
    pub fn new(tokens: usize) -> Self {
        let sets = tokens.clamp(WAYS, 65_536).next_power_of_two() / WAYS;
        Self { sets: (0..sets).map(|_| Default::default()).collect(), hits: 0, misses: 0 }
    }

    /// The token of a digest, if it is still one: before its end, under the same policy, and verified
    /// by keys that are still in force.
    pub(crate) fn find(
        &mut self,
        digest: &TokenDigest,
        generation: u64,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Option<Rc<Token>> {
        let mut ways = self.set(digest).iter_mut().flatten();
        let found = ways.find(|entry| entry.digest == *digest);
        let found = found.filter(|entry| {
            entry.generation == generation
                && now < entry.token.end
                && keyring.version(entry.token.issuer) == Some(entry.keys)
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
    /// entry, of one that has ended, or of the one that was not used for longest.
    pub(crate) fn insert(
        &mut self,
        digest: TokenDigest,
        generation: u64,
        keyring: &Keyring,
        token: &Rc<Token>,
        now: Timestamp,
    ) {
        let Some(keys) = keyring.version(token.issuer) else { return };
        let entry = Entry { digest, generation, keys, used: now, token: Rc::clone(token) };
        let worth = |place: &Option<Entry>| match place {
            Some(held) if held.digest == digest => (0, Timestamp::default()),
            None => (1, Timestamp::default()),
            Some(held) if held.token.end <= now => (2, held.used),
            Some(held) => (3, held.used),
        };
        if let Some(place) = self.set(&digest).iter_mut().min_by_key(|place| worth(place)) {
            *place = Some(entry);
        }
    }

    /// Tokens that are kept.
    pub fn len(&self) -> usize {
        self.sets.iter().flatten().flatten().count()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Look-ups that found a token, and those that did not, since the start.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    fn set(&mut self, digest: &TokenDigest) -> &mut [Option<Entry>] {
        let start = digest.0.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let mask = self.sets.len().saturating_sub(1);
        let at = usize::try_from(start).unwrap_or(0) & mask;
        self.sets.get_mut(at).map_or(&mut [], |set| &mut set[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::algorithm::Algorithm;
    use crate::authn::issuer::IssuerId;
    use crate::authn::secrets::SecretSet;
    use crate::authn::token::Keys;
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
            subject: "alpha".into(),
            key_id: None,
            id: None,
            end: at(end),
            scopes: ScopeSet::default(),
            claims: Box::default(),
        })
    }

    fn keyring(byte: u8) -> Keyring {
        use crate::authn::base64url::encode;
        let secret = encode(&[byte; 32]);
        let secrets = SecretSet::read(Algorithm::Hs256, [Some(secret.as_bytes())]);
        let mut keyring = Keyring::default();
        keyring.put(ISSUER, secrets.ok().map(Keys::Secret));
        keyring
    }

    #[test]
    fn an_entry_dies_with_its_token_its_keys_and_its_policy() {
        // J72
        let (mut cache, keys, digest) = (TokenCache::new(16), keyring(1), TokenDigest::of(b"t"));
        cache.insert(digest, 1, &keys, &token(100), at(10));
        let mut finds = |digest: &TokenDigest, generation, keys: &Keyring, now| {
            cache.find(digest, generation, keys, at(now)).is_some()
        };
        assert!(finds(&digest, 1, &keys, 10) && finds(&digest, 1, &keys, 99));
        assert!(!finds(&digest, 1, &keys, 100));
        assert!(!finds(&digest, 2, &keys, 10) && !finds(&digest, 0, &keys, 10));
        assert!(!finds(&digest, 1, &keyring(2), 10));
        assert!(!finds(&digest, 1, &Keyring::default(), 10));
        assert!(!finds(&TokenDigest::of(b"t "), 1, &keys, 10));
        assert_eq!(cache.counts(), (2, 6));
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (mut cache, keys) = (TokenCache::new(64), keyring(1));
        let used = TokenDigest::of(b"used");
        cache.insert(used, 1, &keys, &token(u64::MAX), at(0));
        for number in 1..10_000_u64 {
            let digest = TokenDigest::of(&number.to_le_bytes());
            cache.insert(digest, 1, &keys, &token(u64::MAX), at(number));
            assert!(cache.find(&used, 1, &keys, at(number)).is_some(), "{number}");
        }
        assert_eq!(cache.len(), 64);
        let digest = TokenDigest::of(b"again");
        cache.insert(digest, 1, &keys, &token(20_000), at(10_000));
        cache.insert(digest, 1, &keys, &token(30_000), at(10_000));
        assert!(cache.find(&digest, 1, &keys, at(25_000)).is_some());
        assert_eq!(cache.len(), 64);
    }
}
