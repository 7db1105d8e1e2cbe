//! Signatures judged by Envoy's own cryptography where it has it, and in Rust where not.
//!
//! Envoy's `verify_signature` knows RSA PKCS#1 v1.5 and ECDSA, and is five to sixteen times as fast.
//! It is not believed before it has told known good signatures from the same ones with a bit flipped,
//! and then only what it said to those: yes is one sequence of bytes, no is another, and whatever else
//! it answers is no answer.

use std::fmt;
use std::rc::Rc;

use portcullis_core::config::Node;
use portcullis_core::{Algorithm, Check, Jws, KeyKind, KeySet, PureVerifier, SignatureVerifier};

use crate::abi::{self, HostFault, Inbox};

/// A key set of one key of each kind with a list of tokens by them, one for each algorithm that Envoy
/// knows. Made once, with an implementation that is neither of the two.
const KNOWN: &str = include_str!("native/known.json");

/// `VerifySignatureResult { result: true }`, and the only bytes that say so.
const YES: &[u8] = &[0x08, 0x01];

/// What Envoy answers for a signature that is wrong. None: it is not asked.
type No = Option<Rc<[u8]>>;

/// Verifies with Envoy's help as far as it was proven, and in Rust alone by default.
#[derive(Clone, Default)]
pub(crate) struct Native {
    rsa: No,
    p256: No,
    p384: No,
}

impl Native {
    /// Asks Envoy about known signatures. Of a family of keys with any answer off, it is never asked
    /// again.
    pub(crate) fn probe(inbox: &Inbox) -> Self {
        let Ok(keys) = KeySet::read(KNOWN.as_bytes(), &Algorithm::ALL) else {
            return Self::default();
        };
        let known = Node::from_json(KNOWN.as_bytes()).ok();
        let tokens = known.as_ref().and_then(|known| known.member("tokens"));
        let tokens = || tokens.iter().flat_map(|tokens| tokens.items()).filter_map(Node::as_text);
        let family = |kind| prove(inbox, &keys, kind, tokens());
        Self { rsa: family(KeyKind::Rsa), p256: family(KeyKind::P256), p384: family(KeyKind::P384) }
    }

    /// Envoy's verdict on a signature. `None`: it does not know the algorithm, the call failed, or it
    /// answered what it never did before.
    pub(crate) fn judge(&self, check: &Check<'_>) -> Option<bool> {
        let (algorithm, inbox) = (check.algorithm(), Inbox::open());
        let (no, hash) = (self.of(algorithm.key_kind())?, hash(algorithm)?);
        match ask(&inbox, hash, check) {
            Ok(YES) => Some(true),
            Ok(answer) if answer == no => Some(false),
            _ => None,
        }
    }

    fn of(&self, kind: KeyKind) -> Option<&[u8]> {
        match kind {
            KeyKind::Rsa => self.rsa.as_deref(),
            KeyKind::P256 => self.p256.as_deref(),
            KeyKind::P384 => self.p384.as_deref(),
            KeyKind::Ed25519 | KeyKind::Secret => None,
        }
    }
}

impl SignatureVerifier for Native {
    fn verify(&mut self, check: &Check<'_>) -> bool {
        self.judge(check).unwrap_or_else(|| PureVerifier.verify(check))
    }
}

/// Which algorithms Envoy verifies, for the log.
impl fmt::Display for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_native = |algorithm: &Algorithm| {
            hash(*algorithm).is_some() && self.of(algorithm.key_kind()).is_some()
        };
        let mut natives = Algorithm::ALL.into_iter().filter(is_native);
        let Some(first) = natives.next() else {
            return f.write_str("all signatures are verified in the filter");
        };
        write!(f, "signatures are verified by Envoy for {}", first.name())?;
        natives.try_for_each(|algorithm| write!(f, ", {}", algorithm.name()))
    }
}

/// Holds Envoy against the tokens of one kind of key. Gives the one answer that it has for wrong ones.
fn prove<'t>(
    inbox: &Inbox,
    keys: &KeySet,
    kind: KeyKind,
    tokens: impl Iterator<Item = &'t str>,
) -> No {
    let key = keys.keys().iter().map(|key| key.public()).find(|key| key.kind() == kind)?;
    let mut no: No = None;
    for token in tokens {
        let mut jws = Jws::parse(token.as_bytes(), token.len()).ok()?;
        if jws.algorithm.key_kind() != kind {
            continue;
        }
        let hash = hash(jws.algorithm)?;
        let good = Check::new(jws.algorithm, key, jws.signed, &jws.signature)?;
        if ask(inbox, hash, &good).ok()? != YES {
            return None;
        }
        *jws.signature.last_mut()? ^= 1;
        let wrong = Check::new(jws.algorithm, key, jws.signed, &jws.signature)?;
        let answer = ask(inbox, hash, &wrong).ok()?;
        if answer == YES || no.is_some_and(|no| *no != *answer) {
            return None;
        }
        no = Some(answer.into());
    }
    no
}

/// Envoy's name for the hash of an algorithm that it verifies. It is told nothing else of it: key and
/// hash make the algorithm, and `Check` has seen to it that they fit.
const fn hash(algorithm: Algorithm) -> Option<&'static [u8]> {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => Some(b"sha256"),
        Algorithm::Rs384 | Algorithm::Es384 => Some(b"sha384"),
        Algorithm::Rs512 => Some(b"sha512"),
        Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::EdDsa
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => None,
    }
}

/// Envoy's `VerifySignatureArguments`, as protobuf: four fields of bytes, numbered from 1.
fn ask<'m>(inbox: &'m Inbox, hash: &[u8], check: &Check<'_>) -> Result<&'m [u8], HostFault> {
    /// Tag and length of a field.
    const HEAD: usize = 1 + 10;
    let signature = check.der_signature();
    let fields = [hash, check.spki(), &signature, check.text()];
    let size = fields
        .iter()
        .fold(0_usize, |size, field| size.saturating_add(HEAD).saturating_add(field.len()));
    let mut arguments = Vec::with_capacity(size);
    for (tag, field) in [0x0a, 0x12, 0x1a, 0x22].into_iter().zip(fields) {
        arguments.push(tag);
        push_varint(&mut arguments, field.len());
        arguments.extend_from_slice(field);
    }
    abi::call_foreign(inbox, "verify_signature", &arguments)
}

/// A number in groups of seven bits, the lowest first.
fn push_varint(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
