//! One group of signatures by the same keys.

use portcullis_core::config::Node;
use portcullis_core::{Algorithm, Check, Jws, KeySet, PureVerifier, SecretSet, SignatureVerifier};

use crate::filter::native::Native;

/// Longest token, in bytes: as long as a policy can allow.
const MAX_TOKEN: usize = 65_536;

/// Signatures and what they are held against.
pub(crate) struct Group<'t> {
    pub(crate) name: &'t str,
    keys: Keys,
    content: Content<'t>,
}

enum Keys {
    Public(KeySet),
    Secret(SecretSet),
    /// Nothing that the core would take.
    Unusable,
}

enum Content<'t> {
    Signatures(Algorithm, &'t [Node<'t>]),
    Tokens(&'t [Node<'t>]),
    Changed(&'t str),
}

impl<'t> Group<'t> {
    pub(crate) fn read(group: &'t Node<'t>) -> Option<Self> {
        let text = |name| group.member(name).and_then(Node::as_text);
        let algorithm = || text("algorithm").and_then(Algorithm::parse);
        let keys = if let Some(set) = text("keys") {
            KeySet::read(set.as_bytes(), &Algorithm::ALL).ok().map(Keys::Public)
        } else {
            let secret = Some(text("secret")?.as_bytes());
            let read = |algorithm| SecretSet::read(algorithm, [secret]).ok();
            algorithm().and_then(read).map(Keys::Secret)
        };
        let keys = keys.unwrap_or(Keys::Unusable);
        let content = match (group.member("tokens"), text("changed")) {
            (Some(tokens), _) => Content::Tokens(tokens.items()),
            (None, Some(token)) => Content::Changed(token),
            (None, None) => Content::Signatures(algorithm()?, group.member("signatures")?.items()),
        };
        Some(Self { name: text("name")?, keys, content })
    }

    /// One letter for each signature, or each change of one.
    pub(crate) fn letters(&self, native: &Native) -> Option<String> {
        match self.content {
            Content::Signatures(algorithm, signatures) => signatures
                .iter()
                .map(|signature| {
                    let (text, signature) = signature.as_text()?.split_once(' ')?;
                    let (signed, signature) = (&*hex(text)?, hex(signature)?);
                    let (key_id, kind, payload) = (None, None, Vec::new());
                    let jws = Jws { algorithm, key_id, kind, signed, payload, signature };
                    Some(self.letter(&jws, native))
                })
                .collect(),
            Content::Tokens(tokens) => tokens
                .iter()
                .map(|token| {
                    let jws = Jws::parse(token.as_text()?.as_bytes(), MAX_TOKEN);
                    Some(jws.map_or('-', |jws| self.letter(&jws, native)))
                })
                .collect(),
            Content::Changed(token) => {
                let mut jws = Jws::parse(token.as_bytes(), MAX_TOKEN).ok()?;
                let changes = changes(&jws.signature);
                let letters = changes.into_iter().map(|signature| {
                    jws.signature = signature;
                    self.letter(&jws, native)
                });
                Some(letters.collect())
            }
        }
    }

    /// `+` and `-`: accepted and refused where Envoy has no say. `A` and `R`: by both verifiers. `P`: by
    /// the pure one alone, `E`: by Envoy alone. `!`: the filter's verifier says something else.
    fn letter(&self, jws: &Jws<'_>, native: &Native) -> char {
        let mut both = Both { native, letter: None };
        let accepted = match &self.keys {
            Keys::Public(keys) => keys.verify(jws, &mut both).is_ok(),
            Keys::Secret(secrets) => secrets.verify(jws).is_ok(),
            Keys::Unusable => false,
        };
        both.letter.unwrap_or(if accepted { '+' } else { '-' })
    }
}

/// Asks one verifier, then the other.
struct Both<'n> {
    native: &'n Native,
    letter: Option<char>,
}

impl SignatureVerifier for Both<'_> {
    fn verify(&mut self, check: &Check<'_>) -> bool {
        let pure = PureVerifier.verify(check);
        let envoy = self.native.judge(check);
        self.letter = Some(match (pure, envoy) {
            _ if self.native.clone().verify(check) != envoy.unwrap_or(pure) => '!',
            (true, Some(true)) => 'A',
            (false, Some(false)) => 'R',
            (true, Some(false)) => 'P',
            (false, Some(true)) => 'E',
            (true, None) => '+',
            (false, None) => '-',
        });
        pure
    }
}

/// The signature itself, then with every bit changed, then cut at either end to every length, then
/// with a byte too many.
fn changes(signature: &[u8]) -> Vec<Vec<u8>> {
    let mut changes = vec![signature.to_vec()];
    for position in 0..signature.len() {
        for bit in 0..8 {
            let mut other = signature.to_vec();
            if let Some(byte) = other.get_mut(position) {
                *byte ^= 1 << bit;
            }
            changes.push(other);
        }
    }
    for length in 0..signature.len() {
        changes.extend(signature.get(..length).map(<[u8]>::to_vec));
        changes.extend(signature.get(length.saturating_add(1)..).map(<[u8]>::to_vec));
    }
    changes.push([signature, &[0]].concat());
    changes.push([&[0], signature].concat());
    changes
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { digits.iter().map(byte).collect() } else { None }
}
