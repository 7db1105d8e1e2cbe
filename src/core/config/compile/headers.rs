//! Headers that a policy names: where keys are read from, what an upstream is told, what never
//! reaches it.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms::{self, fold_header};
use super::super::grammar::Form;
use super::super::place::Place;
use super::{header, read};
use crate::authn::claim_value::ClaimPath;
use crate::authn::extract::CredentialKind;
use crate::authn::{Source, Spot};
use crate::headers::{MAX_CREDENTIAL_HEADERS, NameTable, Role};
use crate::node::Node;
use crate::policy::IdentityHeaders;

/// The headers that tell an upstream who is calling, unless the policy names others. Nobody may send
/// them either way: an upstream may trust them out of habit.
const IDENTITY: [(&str, &str); 3] = [
    ("consumer", "x-portcullis-consumer"),
    ("credential", "x-portcullis-credential"),
    ("scopes", "x-portcullis-scopes"),
];

/// Most sources of a kind of credential, most headers among them, most further headers that are
/// stripped, and most claims that are told: each is looked for, or set, in every request.
const MAX_SOURCES: usize = 8;
const MAX_HEADER_SOURCES: usize = MAX_CREDENTIAL_HEADERS / 2;
const MAX_CLAIM_HEADERS: usize = 16;
const MAX_STRIPPED: usize = 64;
/// Most headers of the hop in front that limits may count by.
const MAX_TRUSTED: usize = 8;

/// Where keys are read from, unless the policy says otherwise.
const DEFAULT_SOURCE: &str = "x-api-key";
/// The header that has a scheme before its token, and the one where tokens are read from unless the
/// policy says otherwise.
const AUTHORIZATION: &str = "authorization";

pub(super) struct Headers {
    pub(super) names: NameTable,
    pub(super) sources: Box<[Source]>,
    pub(super) claims: Box<[(ClaimPath, Box<str>)]>,
    pub(super) retiring_header: Option<Box<str>>,
    pub(super) identity: IdentityHeaders,
    pub(super) reads_country: bool,
    /// Headers that limits may count by, in the order of their positions.
    pub(super) trusted: Vec<Box<str>>,
}

pub(super) fn compile(document: &Node<'_>, report: &mut Report) -> Headers {
    let mut roles = Roles::default();
    let sources = sources(document, &mut roles, report);
    let country = read::text(document, "country_header").and_then(header);
    let reads_country = country.is_some();
    if let Some(name) = country {
        roles.add(name, Role::Country, &Place::TOP.field("country_header"), report);
    }
    let identity = identity(document, &mut roles, report);
    let claims = claim_headers(document, &mut roles, report);
    let list = Place::TOP.field("strip_headers");
    read::bound(document, "strip_headers", MAX_STRIPPED, &list, report);
    for (index, text) in read::texts(document, "strip_headers").take(MAX_STRIPPED) {
        // A source of keys is stripped without being listed.
        if let Some(name) = header(text).filter(|name| !roles.is_credential(name)) {
            roles.add(name, Role::Stripped, &list.item(index), report);
        }
    }
    let trusted = trusted(document, &mut roles, report);
    let api_key = document.member("api_key").unwrap_or(&Node::Null);
    Headers {
        names: NameTable::new(roles.0),
        sources,
        claims,
        retiring_header: read::text(api_key, "retiring_header").and_then(header),
        identity,
        reads_country,
        trusted,
    }
}

/// The headers that the hop in front answers for.
fn trusted(document: &Node<'_>, roles: &mut Roles, report: &mut Report) -> Vec<Box<str>> {
    const FIELD: &str = "trusted_headers";
    let list = Place::TOP.field(FIELD);
    read::bound(document, FIELD, MAX_TRUSTED, &list, report);
    let names = read::texts(document, FIELD).take(MAX_TRUSTED);
    let mut trusted = Vec::new();
    for (position, (index, name)) in (0..).zip(names) {
        let Some(name) = header(name) else { continue };
        roles.add(name.clone(), Role::Trusted(position), &list.item(index), report);
        trusted.push(name);
    }
    trusted
}

/// Header names and their roles; no name has two that exclude each other.
#[derive(Default)]
struct Roles(Vec<(Box<str>, Role)>);

impl Roles {
    fn of(&self, name: &str) -> Option<Role> {
        let folded = fold_header(name);
        self.0.iter().find(|(other, _)| fold_header(other) == folded).map(|(_, role)| *role)
    }

    fn is_credential(&self, name: &str) -> bool {
        matches!(self.of(name), Some(Role::Credential(_)))
    }

    fn add(&mut self, name: Box<str>, role: Role, place: &Place<'_>, report: &mut Report) {
        match self.of(&name) {
            None => self.0.push((name, role)),
            Some(Role::Stripped) if role == Role::Stripped => {}
            Some(other) => {
                let message = format!("{} is {} already", Shown(&name), purpose(other));
                report.error(code::HEADER_CONFLICT, place, message, "choose another header");
            }
        }
    }
}

const fn purpose(role: Role) -> &'static str {
    match role {
        Role::Credential(_) | Role::ForwardedCredential(_) | Role::Authorization => {
            "a source of credentials"
        }
        Role::Country => "the country header",
        Role::Trusted(_) => "a trusted header",
        _ => "a header that never reaches an upstream",
    }
}

/// The places of one kind of credential, as a section of the policy lists them.
struct Listed<'d> {
    kind: CredentialKind,
    section: &'d Node<'d>,
    place: Place<'d>,
    /// The header that is read where the section lists nothing.
    standard: &'static str,
    forward: bool,
}

/// Every source of API keys, and of tokens where there is an issuer.
fn sources(document: &Node<'_>, roles: &mut Roles, report: &mut Report) -> Box<[Source]> {
    let section = |name| document.member(name).unwrap_or(&Node::Null);
    let mut sources = Vec::new();
    let keys = Listed {
        kind: CredentialKind::ApiKey,
        section: section("api_key"),
        place: Place::TOP.field("api_key"),
        standard: DEFAULT_SOURCE,
        forward: false,
    };
    keys.read(&mut sources, roles, report);
    if document.member("issuers").is_some() {
        let tokens = Listed {
            kind: CredentialKind::Jwt,
            section: section("jwt"),
            place: Place::TOP.field("jwt"),
            standard: AUTHORIZATION,
            forward: read::flag(section("jwt"), "forward"),
        };
        tokens.read(&mut sources, roles, report);
    }
    sources.into()
}

impl Listed<'_> {
    fn read(&self, sources: &mut Vec<Source>, roles: &mut Roles, report: &mut Report) {
        let list = self.place.field("sources");
        if self.section.member("sources").is_none() {
            let spot = self.header(self.standard.into(), sources, roles, &self.place, report);
            self.add(spot, &list, sources, report);
            return;
        }
        read::bound(self.section, "sources", MAX_SOURCES, &list, report);
        let nodes = read::items(self.section, "sources").iter().enumerate().take(MAX_SOURCES);
        for (index, node) in nodes {
            let place = list.item(index);
            let named =
                |field, form: &Form| read::text(node, field).and_then(|text| form.canonical(text));
            let spot = if let Some(name) = named("header", &forms::HEADER) {
                self.header(name, sources, roles, &place.field("header"), report)
            } else if let Some(name) = named("query", &forms::PARAMETER) {
                Some(Spot::Query(name))
            } else if let Some(name) = named("cookie", &forms::COOKIE) {
                if !roles.0.iter().any(|(_, role)| *role == Role::Cookie) {
                    roles.0.push(("cookie".into(), Role::Cookie));
                }
                Some(Spot::Cookie(name))
            } else {
                None
            };
            self.add(spot, &place, sources, report);
        }
    }

    fn header(
        &self,
        name: Box<str>,
        sources: &[Source],
        roles: &mut Roles,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Option<Spot> {
        if self.kind == CredentialKind::Jwt && *name == *AUTHORIZATION {
            if sources.iter().all(|source| source.spot != Spot::Bearer) {
                roles.add(name, Role::Authorization, place, report);
            }
            return Some(Spot::Bearer);
        }
        let is_header = |source: &&Source| matches!(source.spot, Spot::Header(_));
        let of_kind = sources.iter().filter(|source| source.kind == self.kind).filter(is_header);
        if of_kind.count() >= MAX_HEADER_SOURCES {
            let message = format!("there are more than {MAX_HEADER_SOURCES} header sources");
            report.error(code::OUT_OF_BOUNDS, place, message, "");
            return None;
        }
        let position = u8::try_from(sources.iter().filter(is_header).count()).ok()?;
        let role = if self.forward { Role::ForwardedCredential } else { Role::Credential };
        roles.add(name, role(position), place, report);
        Some(Spot::Header(position))
    }

    fn add(
        &self,
        spot: Option<Spot>,
        place: &Place<'_>,
        sources: &mut Vec<Source>,
        report: &mut Report,
    ) {
        let Some(spot) = spot else { return };
        if sources.iter().any(|other| same(&other.spot, &spot)) {
            let message = "this source is listed before";
            report.error(code::DUPLICATE_ENTRY, place, message, "leave one out");
        }
        sources.push(Source { spot, kind: self.kind, forward: self.forward });
    }
}

/// Whether two sources read the same place. A parameter is looked for in any case, so that a credential
/// in another spelling is not passed on.
fn same(first: &Spot, second: &Spot) -> bool {
    match (first, second) {
        (Spot::Query(first), Spot::Query(second)) => first.eq_ignore_ascii_case(second),
        _ => first == second,
    }
}

/// Claims that an upstream is told.
fn claim_headers(
    document: &Node<'_>,
    roles: &mut Roles,
    report: &mut Report,
) -> Box<[(ClaimPath, Box<str>)]> {
    const FIELD: &str = "claim_headers";
    let section = document.member("jwt").unwrap_or(&Node::Null);
    let outer = Place::TOP.field("jwt");
    let list = outer.field(FIELD);
    read::bound(section, FIELD, MAX_CLAIM_HEADERS, &list, report);
    let mut told = Vec::new();
    let nodes = read::items(section, FIELD).iter().enumerate().take(MAX_CLAIM_HEADERS);
    for (index, node) in nodes {
        let claim = read::text(node, "claim").and_then(ClaimPath::dotted);
        let name = read::text(node, "header").and_then(header);
        let (Some(claim), Some(name)) = (claim, name) else { continue };
        let place = list.item(index);
        if roles.of(&name).is_some() {
            let message = format!("{} has another use already", Shown(&name));
            let help = "choose another header";
            report.error(code::HEADER_CONFLICT, &place.field("header"), message, help);
        }
        roles.add(name.clone(), Role::Stripped, &place, report);
        told.push((claim, name));
    }
    told.into()
}

fn identity(document: &Node<'_>, roles: &mut Roles, report: &mut Report) -> IdentityHeaders {
    let place = Place::TOP.field("identity_headers");
    let section = document.member("identity_headers");
    let mut set = IDENTITY.map(|(field, standard)| match section {
        None => Some(Box::from(standard)),
        Some(section) => read::text(section, field).and_then(header),
    });
    for (index, (field, _)) in IDENTITY.iter().enumerate() {
        let Some(Some(name)) = set.get(index) else { continue };
        let earlier = set.iter().take(index).flatten();
        if earlier.into_iter().any(|other| fold_header(other) == fold_header(name)) {
            let message = format!("{} is set twice", Shown(name));
            report.error(
                code::HEADER_CONFLICT,
                &place.field(field),
                message,
                "choose another header",
            );
        }
        roles.add(name.clone(), Role::Stripped, &place.field(field), report);
    }
    for (_, standard) in IDENTITY {
        if set.iter().flatten().any(|name| **name == *standard) {
            continue;
        }
        roles.add(standard.into(), Role::Stripped, &place, report);
    }
    let [consumer, credential, scopes] = &mut set;
    IdentityHeaders {
        consumer: consumer.take(),
        credential: credential.take(),
        scopes: scopes.take(),
    }
}
