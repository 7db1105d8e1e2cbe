//! Headers that a policy names: where keys are read from, what an upstream is told, what never
//! reaches it.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms::{self, fold_header};
use super::super::grammar::Form;
use super::super::node::Node;
use super::super::place::Place;
use super::{header, read};
use crate::authn::KeySource;
use crate::headers::{MAX_CREDENTIAL_HEADERS, NameTable, Role};
use crate::policy::IdentityHeaders;

/// The headers that tell an upstream who is calling, unless the policy names others. Nobody may send
/// them either way: an upstream may trust them out of habit.
const IDENTITY: [(&str, &str); 3] = [
    ("consumer", "x-portcullis-consumer"),
    ("credential", "x-portcullis-credential"),
    ("scopes", "x-portcullis-scopes"),
];

/// Most sources of keys, and most further headers that are stripped: each is looked for in every
/// request.
const MAX_SOURCES: usize = 8;
const MAX_STRIPPED: usize = 64;

/// Where keys are read from, unless the policy says otherwise.
const DEFAULT_SOURCE: &str = "x-api-key";

pub(super) struct Headers {
    pub(super) names: NameTable,
    pub(super) key_sources: Box<[KeySource]>,
    pub(super) retiring_header: Option<Box<str>>,
    pub(super) identity: IdentityHeaders,
    pub(super) reads_country: bool,
}

pub(super) fn compile(document: &Node<'_>, report: &mut Report) -> Headers {
    let mut roles = Roles::default();
    let key_sources = sources(document, &mut roles, report);
    let country = read::text(document, "country_header").and_then(header);
    let reads_country = country.is_some();
    if let Some(name) = country {
        roles.add(name, Role::Country, &Place::TOP.field("country_header"), report);
    }
    let identity = identity(document, &mut roles, report);
    let list = Place::TOP.field("strip_headers");
    read::bound(document, "strip_headers", MAX_STRIPPED, &list, report);
    for (index, text) in read::texts(document, "strip_headers").take(MAX_STRIPPED) {
        // A source of keys is stripped without being listed.
        if let Some(name) = header(text).filter(|name| !roles.is_credential(name)) {
            roles.add(name, Role::Stripped, &list.item(index), report);
        }
    }
    let api_key = document.member("api_key").unwrap_or(&Node::Null);
    Headers {
        names: NameTable::new(roles.0),
        key_sources,
        retiring_header: read::text(api_key, "retiring_header").and_then(header),
        identity,
        reads_country,
    }
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
        Role::Credential(_) => "a source of API keys",
        Role::Country => "the country header",
        _ => "a header that never reaches an upstream",
    }
}

fn sources(document: &Node<'_>, roles: &mut Roles, report: &mut Report) -> Box<[KeySource]> {
    let outer = Place::TOP.field("api_key");
    let list = outer.field("sources");
    let section = document.member("api_key").unwrap_or(&Node::Null);
    if section.member("sources").is_none() {
        roles.add(DEFAULT_SOURCE.into(), Role::Credential(0), &outer, report);
        return [KeySource::Header(0)].into();
    }
    let (mut sources, mut headers) = (Vec::new(), 0_u8);
    read::bound(section, "sources", MAX_SOURCES, &list, report);
    for (index, node) in read::items(section, "sources").iter().enumerate().take(MAX_SOURCES) {
        let place = list.item(index);
        let named =
            |field, form: &Form| read::text(node, field).and_then(|text| form.canonical(text));
        let source = if let Some(name) = named("header", &forms::HEADER) {
            let position = headers;
            headers = headers.saturating_add(1);
            let place = place.field("header");
            if usize::from(position) >= MAX_CREDENTIAL_HEADERS {
                let message =
                    format!("there are more than {MAX_CREDENTIAL_HEADERS} header sources");
                report.error(code::OUT_OF_BOUNDS, &place, message, "");
                continue;
            }
            roles.add(name, Role::Credential(position), &place, report);
            KeySource::Header(position)
        } else if let Some(name) = named("query", &forms::PARAMETER) {
            KeySource::Query(name)
        } else if let Some(name) = named("cookie", &forms::COOKIE) {
            if !roles.0.iter().any(|(_, role)| *role == Role::Cookie) {
                roles.0.push(("cookie".into(), Role::Cookie));
            }
            KeySource::Cookie(name)
        } else {
            continue;
        };
        if sources.iter().any(|other| same(other, &source)) {
            report.error(
                code::DUPLICATE_ENTRY,
                &place,
                "this source is listed before",
                "leave one out",
            );
        }
        sources.push(source);
    }
    sources.into()
}

/// Whether two sources read the same place. A parameter is looked for in any case, so that a key in
/// another spelling is not passed on.
fn same(first: &KeySource, second: &KeySource) -> bool {
    match (first, second) {
        (KeySource::Query(first), KeySource::Query(second)) => first.eq_ignore_ascii_case(second),
        _ => first == second,
    }
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
