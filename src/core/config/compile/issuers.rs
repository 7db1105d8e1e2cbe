//! Issuers of tokens: their rules, their keys, and what of theirs is revoked.

use std::rc::Rc;

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms::{self, parse_duration};
use super::super::place::Place;
use super::super::suggest;
use super::read;
use super::scopes::Scopes;
use crate::authn::algorithm::{Algorithm, KeyKind};
use crate::authn::claim_value::ClaimPath;
use crate::authn::issuer::{ByClaim, Cutoff, Issuer, IssuerId, KeyOrigin, Revoked, RoleClaim};
use crate::authn::jwk::KeyFault;
use crate::authn::jwks::KeySet;
use crate::node::Node;
use crate::policy::ConsumerId;
use crate::time::Timestamp;

mod remote;

/// Most issuers of a policy: a token's `iss` is looked for among them.
const MAX_ISSUERS: usize = 64;
/// Longest leeway, in seconds.
const MAX_LEEWAY: u64 = 300;

/// The issuers of a policy.
pub(super) struct Issuers {
    pub(super) all: Vec<Issuer>,
    /// Those that some route takes tokens of.
    used: Vec<bool>,
}

pub(super) fn compile(document: &Node<'_>, scopes: &Scopes<'_>, report: &mut Report) -> Issuers {
    let section = Place::TOP.field("issuers");
    read::bound(document, "issuers", MAX_ISSUERS, &section, report);
    let nodes = read::items(document, "issuers").iter().take(MAX_ISSUERS);
    let mut all: Vec<Issuer> = Vec::new();
    for ((id, node), index) in (0..).map(IssuerId).zip(nodes).zip(0..) {
        let place = section.item(index);
        let issuer = issuer(id, node, scopes, &place, report);
        let mut same = |field: &str, what: &str, text: &str, first: Option<usize>| {
            if let Some(first) = first.filter(|_| !text.is_empty()) {
                let message = format!("{} is the {what} of issuer {first} too", Shown(text));
                report.error(code::DUPLICATE_NAME, &place.field(field), message, "");
            }
        };
        same("name", "name", &issuer.name, all.iter().position(|one| one.name == issuer.name));
        same("issuer", "identifier", &issuer.url, all.iter().position(|one| one.url == issuer.url));
        all.push(issuer);
    }
    Issuers { used: vec![false; all.len()], all }
}

fn issuer(
    id: IssuerId,
    node: &Node<'_>,
    scopes: &Scopes<'_>,
    place: &Place<'_>,
    report: &mut Report,
) -> Issuer {
    let algorithms = algorithms(node, place, report);
    let texts = |field| read::texts(node, field).map(|(_, text)| Box::from(text)).collect();
    let seconds = |field| read::text(node, field).and_then(parse_duration);
    let leeway = seconds("leeway").unwrap_or(30);
    if leeway > MAX_LEEWAY {
        let message = "is longer than 5 minutes";
        let help = "clocks that differ by more should be set";
        report.error(code::OUT_OF_BOUNDS, &place.field("leeway"), message, help);
    }
    let max_lifetime = seconds("max_lifetime");
    if max_lifetime == Some(0) {
        let message = "no token lives for no time";
        report.error(code::OUT_OF_BOUNDS, &place.field("max_lifetime"), message, "");
    }
    let claims = node.member("claims").unwrap_or(&Node::Null);
    let claim = |field| read::text(claims, field).and_then(ClaimPath::dotted);
    let named = |name: &str| ClaimPath([Box::from(name)].into());
    let subject = claim("consumer").unwrap_or_else(|| named("sub"));
    let url = read::text(node, "issuer").unwrap_or_default();
    Issuer {
        id,
        name: read::text(node, "name").unwrap_or_default().into(),
        url: url.into(),
        audiences: texts("audiences"),
        keys: keys(node, url, &algorithms, place, report),
        algorithms: algorithms.into(),
        types: texts("types"),
        leeway,
        max_lifetime,
        scopes: claim("scopes").unwrap_or_else(|| named("scope")),
        roles: roles(node, claim("roles"), scopes, place, report),
        owners: ByClaim::default(),
        revoked: revoked(node, &subject, place, report),
        subject,
    }
}

/// The algorithms in the order of the enum: the order of the policy's list means nothing.
fn algorithms(node: &Node<'_>, place: &Place<'_>, report: &mut Report) -> Vec<Algorithm> {
    let has = |name: &str| read::texts(node, "algorithms").any(|(_, text)| text == name);
    let algorithms: Vec<_> =
        Algorithm::ALL.into_iter().filter(|algorithm| has(algorithm.name())).collect();
    let is_secret = |algorithm: &Algorithm| algorithm.key_kind() == KeyKind::Secret;
    let secret = algorithms.iter().filter(|algorithm| is_secret(algorithm)).count();
    let place = place.field("algorithms");
    let keys = node.member("keys").unwrap_or(&Node::Null);
    let mut refuse = |message: &str, help: &str| {
        report.error(code::ISSUER_ALGORITHMS, &place, message, help);
    };
    if secret > 0 && secret < algorithms.len() {
        refuse(
            "algorithms with a shared secret stand beside algorithms with public keys",
            "make two issuers of them",
        );
    } else if secret > 1 {
        refuse("a secret is for one algorithm alone", "keep one of them");
    } else if secret == 1 && keys.member("secrets").is_none() {
        refuse("an algorithm with a shared secret needs `keys: {secrets: [...]}`", "");
    } else if secret == 0 && !algorithms.is_empty() && keys.member("secrets").is_some() {
        refuse("`keys: {secrets: [...]}` are for HS256, HS384 or HS512", "");
    }
    algorithms
}

fn keys(
    node: &Node<'_>,
    url: &str,
    algorithms: &[Algorithm],
    place: &Place<'_>,
    report: &mut Report,
) -> KeyOrigin {
    let place = place.field("keys");
    let keys = node.member("keys").unwrap_or(&Node::Null);
    if let Some(text) = read::text(keys, "jwks")
        && let Some(set) = inline(text, algorithms, &place.field("jwks"), report)
    {
        return KeyOrigin::Inline(Rc::new(set));
    }
    if keys.member("cluster").is_some() {
        return KeyOrigin::Remote(remote::compile(keys, url, &place, report));
    }
    read::bound(keys, "secrets", 2, &place.field("secrets"), report);
    KeyOrigin::Secrets(read::texts(keys, "secrets").map(|(_, name)| Box::from(name)).collect())
}

/// A key set in the policy. Keys that are for something else are passed over with a warning; keys that
/// should not be there at all are errors.
fn inline(
    text: &str,
    algorithms: &[Algorithm],
    place: &Place<'_>,
    report: &mut Report,
) -> Option<KeySet> {
    if !forms::JWKS.holds(text) || algorithms.is_empty() {
        return None;
    }
    let read = KeySet::read(text.as_bytes(), algorithms);
    let findings = match &read {
        Ok(set) => set.findings(),
        Err(fault) => {
            report.error(code::KEY_SET_INVALID, place, fault.meaning(), "");
            fault.findings()
        }
    };
    for finding in findings {
        let list = place.field("keys");
        let place = list.item(finding.position);
        let (message, help) = (finding.fault.meaning(), "`portcullis jwks check` says more");
        match finding.fault {
            KeyFault::Use
            | KeyFault::KeyOps
            | KeyFault::Kind
            | KeyFault::AlgorithmUnknown
            | KeyFault::AlgorithmNotAllowed => {
                report.warning(code::KEY_UNUSABLE, &place, message, help);
            }
            _ => report.error(code::KEY_UNUSABLE, &place, message, help),
        }
    }
    read.ok()
}

fn roles(
    node: &Node<'_>,
    path: Option<ClaimPath>,
    scopes: &Scopes<'_>,
    place: &Place<'_>,
    report: &mut Report,
) -> Option<RoleClaim> {
    let map = node.member("roles");
    let Some(path) = path else {
        if map.is_some() {
            let message = "has no effect without `claims: {roles: ...}`";
            let help = "say where in a token its roles stand";
            report.error(code::FIELD_WITHOUT_EFFECT, &place.field("roles"), message, help);
        }
        return None;
    };
    let Some(map) = map else { return Some(RoleClaim { path, scopes: scopes.all_roles() }) };
    let place = place.field("roles");
    let known = map.members().iter().filter_map(|(theirs, ours)| {
        let ids = scopes.role(ours.as_text()?, &place.field(theirs), report)?;
        Some((theirs.as_ref(), ids.into()))
    });
    Some(RoleClaim { path, scopes: known.collect() })
}

fn revoked(
    node: &Node<'_>,
    subject: &ClaimPath,
    place: &Place<'_>,
    report: &mut Report,
) -> Revoked {
    let list = place.field("revoked");
    let mut revoked = Revoked::default();
    let named = |name: &str| ClaimPath([Box::from(name)].into());
    let signs_with_secret =
        node.member("keys").is_some_and(|keys| keys.member("secrets").is_some());
    for (index, entry) in read::items(node, "revoked").iter().enumerate() {
        let place = list.item(index);
        let text = |field| read::text(entry, field);
        let date = text("issued_before").and_then(Timestamp::parse_rfc3339);
        let cutoff =
            date.map_or(Cutoff::Always, |date| Cutoff::IssuedBefore(date.unix_seconds_up()));
        let mut useless = |field: &str, message: &str| {
            let help = "leave it out";
            report.error(code::FIELD_WITHOUT_EFFECT, &place.field(field), message, help);
        };
        if date.is_some() && (text("token").is_some() || text("key").is_some()) {
            useless("issued_before", "goes with `subject`, `client` and `all`");
        }
        if text("key").is_some() && signs_with_secret {
            useless("key", "secrets have no `kid`: take the variable out of the environment");
        }
        // The claim that names the callers may be the one that is meant, whatever it is called.
        if let Some(value) = text("subject") {
            revoked.cut([named("sub"), subject.clone()], value, cutoff);
        }
        if let Some(value) = text("client") {
            revoked.cut([named("azp"), named("client_id"), subject.clone()], value, cutoff);
        }
        for (table, id) in
            [(&mut revoked.token_ids, text("token")), (&mut revoked.key_ids, text("key"))]
        {
            if let Some(id) = id {
                table.entry(id, ());
            }
        }
        match entry.member("all") {
            Some(Node::Bool(true)) => revoked.all = revoked.all.max(Some(cutoff)),
            Some(Node::Bool(false)) => useless("all", "`false` revokes nothing"),
            _ => {}
        }
    }
    revoked
}

impl Issuers {
    /// The issuer of a name; a name that none has is reported.
    pub(super) fn resolve(
        &self,
        name: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Option<IssuerId> {
        let found = self.all.iter().find(|issuer| *issuer.name == *name).map(|issuer| issuer.id);
        if found.is_none() && forms::NAME.holds(name) {
            let message = format!("there is no issuer {}", Shown(name));
            let known = self.all.iter().map(|issuer| &*issuer.name);
            report.error(code::UNKNOWN_NAME, place, message, suggest::help(name, known, "issuers"));
        }
        found
    }

    /// Makes tokens a consumer's.
    pub(super) fn own(
        &mut self,
        node: &Node<'_>,
        consumer: ConsumerId,
        place: &Place<'_>,
        report: &mut Report,
    ) {
        let name = read::text(node, "issuer").unwrap_or_default();
        let Some(id) = self.resolve(name, &place.field("issuer"), report) else { return };
        let Some(issuer) = self.all.get_mut(id.position()) else { return };
        let claim = match node.member("claim") {
            Some(claim) => claim.as_text().and_then(ClaimPath::dotted),
            None => Some(issuer.subject.clone()),
        };
        let (Some(claim), Some(value)) = (claim, read::text(node, "value")) else { return };
        if let (Some(first), false) = issuer.owners.of(claim).entry(value, consumer) {
            let message = format!("are the tokens of consumer {} too", first.0);
            let help = "one token cannot be two callers, nor one caller twice";
            report.error(code::TOKEN_OWNED_TWICE, place, message, help);
        }
    }

    /// Notes that a route takes tokens of these issuers; of all where none is named.
    pub(super) fn take(&mut self, issuers: &[IssuerId]) {
        for (issuer, used) in self.all.iter().zip(&mut self.used) {
            *used |= issuers.is_empty() || issuers.contains(&issuer.id);
        }
    }

    pub(super) fn report_unused(&self, report: &mut Report) {
        let section = Place::TOP.field("issuers");
        let unused = self.all.iter().zip(&self.used).filter(|(_, used)| !**used);
        for (issuer, _) in unused {
            let message = format!("no route takes tokens of the issuer {}", Shown(&issuer.name));
            report.warning(code::UNUSED, &section.item(issuer.id.position()), message, "");
        }
    }
}
