//! From a document to a policy. The grammar is checked first; what it found wrong is passed over here
//! in silence, everything else that is wrong is reported here.

mod claims;
mod consumers;
mod costs;
mod fleet;
mod headers;
mod issuers;
mod jwt;
mod limits;
mod names;
mod networks;
mod plans;
mod read;
mod routes;
mod schedule;
mod scopes;

use super::diagnostic::{Report, code};
use super::forms;
use super::place::Place;
use super::{Compiled, shape};
use crate::address::Cidr;
use crate::authn::extract::CredentialKind;
use crate::authn::token::TokenRules;
use crate::hand_over::Fact;
use crate::node::Node;
use crate::policy::{AddressSource, LimitHeaders, Needs, Policy};

/// How many hexadecimal digits of the revision are kept.
const REVISION_DIGITS: usize = 16;

/// Most trusted proxies: each is looked at on every request.
const MAX_PROXIES: usize = 1_024;

/// Compiles a document, gathering every finding. There is a policy exactly when none is an error.
pub fn compile(document: &Node<'_>) -> Compiled {
    let mut report = Report::default();
    let meaning = shape::check(document, &mut report);
    let policy = build(document, &meaning, &mut report);
    costs::check(&policy, &mut report);
    let policy = if report.has_errors() { None } else { Some(policy) };
    Compiled { policy, diagnostics: report.finish() }
}

fn build(document: &Node<'_>, meaning: &[u8], report: &mut Report) -> Policy {
    let headers = headers::compile(document, report);
    let networks = networks::compile(document, report);
    let fleet = fleet::compile(document, report);
    let mut claims = claims::Claims::default();
    let gateway = read::text(document, "gateway").unwrap_or_default();
    let mut sources = limits::Sources {
        gateway,
        reads_country: headers.reads_country,
        has_issuers: document.member("issuers").is_some(),
        trusted: &headers.trusted,
        claims: &mut claims,
    };
    let limits = limits::compile(document, fleet.as_ref(), &mut sources, report);
    let plans = plans::Plans::compile(document, &limits, report);
    let mut scopes = scopes::Scopes::collect(document, report);

    let deny = networks.set(document, "deny", &Place::TOP, report);
    let global = limits.ids(document, "global_limits", &Place::TOP, report);
    let mut issuers = issuers::compile(document, &scopes, report);
    let for_consumers = (&limits, &plans);
    let callers =
        consumers::compile(document, &networks, for_consumers, &mut scopes, &mut issuers, report);
    let mut gathered = routes::Gathered { issuers: &mut issuers, claims: &mut claims };
    let routes =
        routes::compile(document, &networks, &limits, &global, &scopes, &mut gathered, report);
    issuers.report_unused(report);
    networks.names.report_unused(report);
    limits.names.report_unused(report);
    plans.names.report_unused(report);
    if fleet.is_some() && !limits.has_fleet() {
        let help = "leave it out, or give a limit `scope: fleet`";
        report.warning(code::UNUSED, &Place::TOP.field("fleet"), "no limit is a fleet's", help);
    }
    scopes.report_unused(report);

    let sets = || {
        let of_consumers = callers.consumers.iter().flat_map(|one| [&one.networks, &one.deny]);
        let of_routes = routes.all.iter().flat_map(|one| [&one.networks, &one.deny]);
        of_consumers.chain(of_routes).chain([&deny])
    };
    let needs = Needs {
        source_address: sets().any(|set| set.needs_address()) || limits.need_address(),
        route_name: !(routes.by_name.is_empty() && routes.refuse_by_name.is_empty()),
    };
    let jwt = jwt::compile(document, report);
    Policy {
        gateway: gateway.into(),
        realm: read::text(document, "realm").unwrap_or(gateway).into(),
        revision: revision(meaning),
        observe: read::text(document, "mode") == Some("observe"),
        needs,
        address_source: address_source(document, report),
        reads_country: headers.reads_country,
        names: headers.names,
        sources: headers.sources,
        precedence: match read::text(document, "precedence") {
            Some("api_key") => Some(CredentialKind::ApiKey),
            Some("jwt") => Some(CredentialKind::Jwt),
            _ => None,
        },
        token_rules: TokenRules {
            issuers: issuers.all.into(),
            max_size: jwt.max_size,
            cache: jwt.cache,
            claims: claims.all.into(),
            headers: headers.claims,
        },
        resource_metadata: jwt.resource_metadata,
        shares_keys: read::flag(document, "share_keys"),
        retiring_header: headers.retiring_header,
        identity: headers.identity,
        hand_over: Fact::ALL
            .map(|fact| read::texts(document, "hand_over").any(|(_, word)| word == fact.name())),
        deny,
        scopes: scopes.finish(),
        consumers: callers.consumers.into(),
        keys: callers.keys,
        address_limits: limits.early(&global),
        networks: networks.table,
        plans: plans.finish(),
        limit_headers: limit_headers(document, report),
        fleet: fleet.map(|fleet| fleet.service),
        limits: limits.finish(),
        routes: routes.all.into(),
        allow: routes.allow,
        refuse: routes.refuse,
        by_name: routes.by_name,
        refuse_by_name: routes.refuse_by_name,
    }
}

fn limit_headers(document: &Node<'_>, report: &mut Report) -> LimitHeaders {
    const FIELD: &str = "limit_headers";
    let has = |word| read::texts(document, FIELD).any(|(_, text)| text == word);
    if has("none") && (has("standard") || has("legacy")) {
        let help = "leave `none` out, or all others";
        report.error(code::FIELDS_CONFLICT, &Place::TOP.field(FIELD), "`none` stands alone", help);
    }
    let standard = document.member(FIELD).is_none() || has("standard");
    LimitHeaders { standard, legacy: has("legacy") }
}

fn address_source(document: &Node<'_>, report: &mut Report) -> AddressSource {
    const FIELD: &str = "trusted_proxies";
    let section = document.member("client_address").unwrap_or(&Node::Null);
    let place = Place::TOP.field("client_address");
    let source = read::text(section, "source").unwrap_or_default();
    let has_proxies = section.member(FIELD).is_some();
    match source {
        "forwarded_for" if !has_proxies => {
            let message = "`forwarded_for` needs `trusted_proxies`";
            let help = "list the addresses of the proxies in front of this Envoy";
            report.error(code::MISSING_FIELD, &place, message, help);
        }
        "peer" | "envoy" if has_proxies => {
            let message = format!("has no effect with the source `{source}`");
            let help = "leave it out, or take the source `forwarded_for`";
            report.error(code::FIELD_WITHOUT_EFFECT, &place.field(FIELD), message, help);
        }
        _ => {}
    }
    if source == "envoy" {
        return AddressSource::Envoy;
    }
    let proxies_place = place.field(FIELD);
    read::bound(section, FIELD, MAX_PROXIES, &proxies_place, report);
    let mut proxies = Vec::new();
    for (index, text) in read::texts(section, FIELD) {
        let Ok(range) = Cidr::parse(text) else { continue };
        if range.length() == 0 && !read::flag(section, "trust_any_proxy") {
            let message =
                "every address would be a trusted proxy, and every caller could choose its address";
            let help = "list the proxies, or say `trust_any_proxy: true`";
            report.error(code::PROXY_ANY, &proxies_place.item(index), message, help);
        }
        proxies.push(range);
    }
    match source {
        "forwarded_for" => AddressSource::ForwardedFor(proxies.into()),
        _ => AddressSource::Peer,
    }
}

/// The first digits of a digest of the policy's meaning, which does not depend on how it was written.
fn revision(meaning: &[u8]) -> Box<str> {
    let digest = crate::digest(meaning);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).take(REVISION_DIGITS);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect::<String>().into()
}

/// The canonical spelling of a header's name.
fn header(text: &str) -> Option<Box<str>> {
    forms::HEADER.canonical(text)
}

#[cfg(test)]
mod tests;
