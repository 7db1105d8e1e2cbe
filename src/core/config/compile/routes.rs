//! Routes: what they match, what they ask for, and which exclude each other.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms;
use super::super::place::Place;
use super::claims::Claims;
use super::issuers::Issuers;
use super::limits::Limits;
use super::networks::Networks;
use super::read;
use super::schedule;
use super::scopes::Scopes;
use crate::authn::issuer::IssuerId;
use crate::limit::LimitId;
use crate::lookup::Lookup;
use crate::node::Node;
use crate::route::{
    Accepts, Access, HostPattern, Methods, PathPattern, Route, RouteId, RouteTable, Segment,
};
use crate::sorted::sort;

/// The routes of a policy and the patterns that lead to them.
#[derive(Default)]
pub(super) struct Routes {
    pub(super) all: Vec<Route>,
    pub(super) allow: RouteTable,
    pub(super) refuse: RouteTable,
    pub(super) by_name: Lookup<Methods>,
    pub(super) refuse_by_name: Lookup<Methods>,
}

/// The parts of the policy that routes name.
struct Parts<'p, 'n> {
    networks: &'p Networks<'n>,
    limits: &'p Limits<'n>,
    global: &'p [LimitId],
    scopes: &'p Scopes<'n>,
}

/// What routes add to.
pub(super) struct Gathered<'g> {
    pub(super) issuers: &'g mut Issuers,
    pub(super) claims: &'g mut Claims,
}

pub(super) fn compile<'n>(
    document: &'n Node<'_>,
    networks: &Networks<'n>,
    limits: &Limits<'n>,
    global: &[LimitId],
    scopes: &Scopes<'n>,
    gathered: &mut Gathered<'_>,
    report: &mut Report,
) -> Routes {
    let parts = Parts { networks, limits, global, scopes };
    let section = Place::TOP.field("routes");
    let nodes = read::items(document, "routes");
    let mut routes = Routes { refuse: RouteTable::refusing(), ..Routes::default() };
    let matchers: Vec<_> = nodes.iter().map(Matcher::read).collect();
    for ((index, node), matcher) in nodes.iter().enumerate().zip(&matchers) {
        let place = section.item(index);
        routes.all.push(route(node, index, matcher, &parts, gathered, &place, report));
    }
    routes.report_duplicates(&section, report);
    for (index, matcher) in matchers.iter().enumerate() {
        routes.insert(index, matcher, &section.item(index), report);
    }
    for (index, matcher) in matchers.iter().enumerate() {
        routes.report_unreachable(index, matcher, &section.item(index), report);
    }
    routes
}

fn route(
    node: &Node<'_>,
    index: usize,
    matcher: &Matcher<'_>,
    parts: &Parts<'_, '_>,
    gathered: &mut Gathered<'_>,
    place: &Place<'_>,
    report: &mut Report,
) -> Route {
    let access = match read::text(node, "access") {
        Some("public") => Access::Public,
        Some("deny") => Access::Deny,
        _ => Access::Credentials,
    };
    let observe = read::text(node, "mode") == Some("observe");
    if access == Access::Deny {
        for field in ["networks", "deny"] {
            if node.member(field).is_some() {
                let message = "has no effect on a route that refuses everybody";
                report.error(
                    code::FIELD_WITHOUT_EFFECT,
                    &place.field(field),
                    message,
                    "leave it out",
                );
            }
        }
        if observe {
            let message = "a deny route in observe mode would forward what other routes refuse";
            let help =
                "try a deny route out by what the audit record says of the routes it would cover";
            report.error(code::FIELDS_CONFLICT, &place.field("mode"), message, help);
        }
    }
    // The policy's own limits come first; one that the route names again counts once.
    let mut limits = parts.global.to_vec();
    let own = parts.limits.ids(node, "limits", place, report);
    limits.extend(own.into_iter().filter(|id| !parts.global.contains(id)));
    let networks = parts.networks.allow_set(node, place, report);
    let deny = parts.networks.set(node, "deny", place, report);
    parts.networks.report_both(&networks, &deny, place, report);
    let accepts = accepts(node, gathered.issuers, place, report);
    Route {
        name: read::text(node, "name").unwrap_or_default().into(),
        position: RouteId(u32::try_from(index).unwrap_or(u32::MAX)),
        access,
        requirement: parts.scopes.requirement(node, accepts.jwt, place, report),
        claims: gathered.claims.rules(node, &matcher.paths, place, report),
        schedule: schedule::compile(node, place, report),
        accepts,
        networks,
        deny,
        address_limits: parts.limits.by_address_alone(&limits),
        limits: parts.limits.by_more(&limits),
        cost: read::size(node, "cost").and_then(|cost| u32::try_from(cost).ok()).unwrap_or(1),
        observe,
    }
}

/// The credentials that a route takes; fields that then have no effect are reported.
fn accepts(
    node: &Node<'_>,
    issuers: &mut Issuers,
    place: &Place<'_>,
    report: &mut Report,
) -> Accepts {
    let takes = |kind| read::texts(node, "credentials").any(|(_, text)| text == kind);
    let (api_key, jwt) = (takes("api_key"), takes("jwt"));
    if jwt && issuers.all.is_empty() {
        let message = "tokens need `issuers`, and the policy has none";
        let place = place.field("credentials");
        report.error(code::MISSING_FIELD, &place, message, "say who signs them");
    }
    let has_credentials = node.member("credentials").is_some();
    let mut useless = |field: &str, why: &str| {
        if has_credentials && node.member(field).is_some() {
            report.error(code::FIELD_WITHOUT_EFFECT, &place.field(field), why, "leave it out");
        }
    };
    if !jwt {
        useless("issuers", "the route takes no tokens");
    }
    if !api_key {
        useless("api_key_schedule", "the route takes no API keys");
    }
    if node.member("claims").is_some() && has_credentials && (api_key || !jwt) {
        let message = "an API key has no claims, so it would not be held against them";
        let help = "take tokens alone: `credentials: [jwt]`";
        report.error(code::FIELDS_CONFLICT, &place.field("claims"), message, help);
    }
    let list = place.field("issuers");
    let named: Box<[IssuerId]> = read::texts(node, "issuers")
        .filter_map(|(index, name)| issuers.resolve(name, &list.item(index), report))
        .collect();
    if jwt {
        issuers.take(&named);
    }
    Accepts { api_key, jwt, issuers: named }
}

/// What a route matches; parts that cannot be read are left out.
struct Matcher<'n> {
    hosts: Vec<HostPattern>,
    paths: Vec<(usize, PathPattern)>,
    envoy_routes: Vec<(usize, &'n str)>,
    methods: Vec<&'n str>,
}

impl<'n> Matcher<'n> {
    fn read(node: &'n Node<'_>) -> Self {
        let hosts = match node.member("hosts") {
            None => vec![HostPattern::Any],
            Some(_) => read::texts(node, "hosts").filter_map(|(_, text)| host(text)).collect(),
        };
        let paths = read::texts(node, "paths").filter_map(|(at, text)| Some((at, path(text)?)));
        let methods = read::texts(node, "methods").map(|(_, method)| method);
        Self {
            hosts,
            paths: paths.collect(),
            envoy_routes: read::texts(node, "envoy_routes").collect(),
            methods: methods.filter(|method| forms::METHOD.holds(method)).collect(),
        }
    }
}

fn host(text: &str) -> Option<HostPattern> {
    let text = forms::HOST.canonical(text)?;
    Some(match text.strip_prefix('*') {
        Some(suffix) => HostPattern::Suffix(suffix.into()),
        None => HostPattern::Exact(text),
    })
}

fn path(text: &str) -> Option<PathPattern> {
    let text = forms::PATH.canonical(text)?;
    let (segments, rest) = forms::split_path(&text);
    let segments = segments.map(|segment| match forms::parameter_name(segment) {
        Some(name) => Segment::Parameter(name.into()),
        None => Segment::Literal(segment.into()),
    });
    Some(PathPattern { segments: segments.collect(), rest })
}

impl Routes {
    fn insert(
        &mut self,
        index: usize,
        matcher: &Matcher<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) {
        let Some(Route { position, access, .. }) = self.all.get(index) else { return };
        let (table, names) = if *access == Access::Deny {
            (&mut self.refuse, &mut self.refuse_by_name)
        } else {
            (&mut self.allow, &mut self.by_name)
        };
        let mut ties = Vec::new();
        for (at, path) in &matcher.paths {
            for host in &matcher.hosts {
                let methods = table.methods_mut(host, path);
                for method in &matcher.methods {
                    ties.extend(
                        methods
                            .insert(method, *position)
                            .err()
                            .map(|tie| ("paths", *at, *method, tie)),
                    );
                }
            }
        }
        for (at, name) in &matcher.envoy_routes {
            let (Some(methods), _) = names.entry(name, Methods::default()) else { continue };
            for method in &matcher.methods {
                ties.extend(
                    methods
                        .insert(method, *position)
                        .err()
                        .map(|tie| ("envoy_routes", *at, *method, tie)),
                );
            }
        }
        // Entries that tie with the route's own were reported as duplicates.
        for (field, at, method, tie) in ties.into_iter().filter(|(.., tie)| tie != position) {
            let other = self.name_of(tie);
            let message = format!("route {other} has the same pattern with the method `{method}`");
            let help = "one request cannot belong to two routes";
            report.error(code::ROUTE_TIE, &place.field(field).item(at), message, help);
        }
    }

    fn name_of(&self, id: RouteId) -> String {
        let route = usize::try_from(id.0).ok().and_then(|at| self.all.get(at));
        Shown(route.map_or("", |route| route.name())).to_string()
    }

    /// A path or name of a route that a deny route has whole.
    fn report_unreachable(
        &self,
        index: usize,
        matcher: &Matcher<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) {
        let denies = self.all.get(index).is_none_or(|route| route.access == Access::Deny);
        if denies {
            return;
        }
        for (at, name) in &matcher.envoy_routes {
            let Some(refused) = self.refuse_by_name.get(name) else { continue };
            let mut covers = matcher.methods.iter().map(|method| refused.covering(method));
            let Some(Some(first)) = covers.next() else { continue };
            if covers.all(|cover| cover.is_some()) {
                let message = format!("the deny route {} has this name too", self.name_of(first));
                let help = "deny wins: no request can reach this route";
                report.error(
                    code::ROUTE_UNREACHABLE,
                    &place.field("envoy_routes").item(*at),
                    message,
                    help,
                );
            }
        }
        if self.refuse.is_empty() {
            return;
        }
        for (at, path) in &matcher.paths {
            let pairs = matcher
                .hosts
                .iter()
                .flat_map(|host| matcher.methods.iter().map(move |method| (host, *method)));
            let mut covers = pairs.map(|(host, method)| self.refuse.covering(host, path, method));
            let Some(Some(first)) = covers.next() else { continue };
            if covers.all(|cover| cover.is_some()) {
                let message = format!("lies inside the deny route {}", self.name_of(first));
                let help = "deny wins: no request can reach this path";
                report.error(
                    code::ROUTE_UNREACHABLE,
                    &place.field("paths").item(at.to_owned()),
                    message,
                    help,
                );
            }
        }
    }

    fn report_duplicates(&self, section: &Place<'_>, report: &mut Report) {
        let mut names: Vec<_> =
            self.all.iter().map(|route| (route.name(), route.position())).collect();
        sort(&mut names);
        for pair in names.windows(2) {
            let [(first, earlier), (second, later)] = pair else { continue };
            if first == second && !first.is_empty() {
                let message = format!("{} is the name of route {earlier} too", Shown(first));
                let place = section.item(*later);
                report.error(code::DUPLICATE_NAME, &place.field("name"), message, "");
            }
        }
    }
}
