//! Consumers and their API keys.

use super::super::diagnostic::{Report, Shown, code};
use super::super::forms;
use super::super::place::Place;
use super::issuers::Issuers;
use super::limits::Limits;
use super::networks::Networks;
use super::plans::Plans;
use super::read;
use super::schedule;
use super::scopes::Scopes;
use crate::authn::api_key::{ApiKey, KeyDigest, KeyState, KeyTable};
use crate::authz::{ScopeId, ScopeSetId};
use crate::node::Node;
use crate::policy::{Consumer, ConsumerId};
use crate::sorted::{rank_of, sort_by_rank};
use crate::time::Timestamp;

/// The consumers of a policy and their keys.
pub(super) struct Callers {
    pub(super) consumers: Vec<Consumer>,
    pub(super) keys: KeyTable,
}

/// Where a key stands: the positions of its consumer and of itself.
type KeyPlace = (usize, usize);

/// What is gathered on the way.
#[derive(Default)]
struct Gathered<'n> {
    keys: Vec<ApiKey>,
    accepts_opaque: bool,
    names: Vec<(&'n str, usize)>,
    ids: Vec<(&'n str, KeyPlace)>,
    digests: Vec<(KeyDigest, KeyPlace)>,
}

pub(super) fn compile(
    document: &Node<'_>,
    networks: &Networks<'_>,
    (limits, plans): (&Limits<'_>, &Plans<'_>),
    scopes: &mut Scopes<'_>,
    issuers: &mut Issuers,
    report: &mut Report,
) -> Callers {
    let section = Place::TOP.field("consumers");
    let mut gathered = Gathered::default();
    let mut consumers = Vec::new();
    for (index, node) in read::items(document, "consumers").iter().enumerate() {
        let place = section.item(index);
        let name = read::text(node, "name").unwrap_or_default();
        gathered.names.push((name, index));
        let held = scopes.of_consumer(node, &place, report);
        let (plan, limits) = plans.of_consumer(node, limits, &place, report);
        let consumer = Consumer {
            name: name.into(),
            disabled: read::flag(node, "disabled"),
            networks: networks.allow_set(node, &place, report),
            deny: networks.set(node, "deny", &place, report),
            plan,
            limits,
            scopes: held.1,
            schedule: schedule::compile(node, &place, report),
        };
        networks.report_both(&consumer.networks, &consumer.deny, &place, report);
        consumers.push(consumer);
        if node.member("api_keys").is_none() && node.member("tokens").is_none() {
            let message =
                format!("{} has no credential, so no request can come from it", Shown(name));
            report.warning(
                code::CONSUMER_WITHOUT_CREDENTIAL,
                &place,
                message,
                "give it `api_keys` or `tokens`",
            );
        }
        let list = place.field("api_keys");
        for (position, key) in read::items(node, "api_keys").iter().enumerate() {
            let at = (index, position);
            gathered.key(key, at, &held, scopes, &list.item(position), report);
        }
        let (list, id) = (place.field("tokens"), consumer_id(index));
        for (position, token) in read::items(node, "tokens").iter().enumerate() {
            issuers.own(token, id, &list.item(position), report);
        }
    }
    gathered.report_duplicates(&section, report);
    gathered.report_issuers(issuers, &section, report);
    Callers { consumers, keys: KeyTable::new(gathered.keys, gathered.accepts_opaque) }
}

impl<'n> Gathered<'n> {
    fn key(
        &mut self,
        node: &'n Node<'_>,
        at: KeyPlace,
        held: &(Vec<ScopeId>, ScopeSetId),
        scopes: &mut Scopes<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) {
        let time = |field| read::text(node, field).and_then(Timestamp::parse_rfc3339);
        let (not_before, expires) = (time("not_before"), time("expires"));
        if let (Some(start), Some(end)) = (not_before, expires)
            && end <= start
        {
            let message = "the key expires before it becomes valid";
            let help = "`expires` must be later than `not_before`";
            report.error(code::KEY_NEVER_VALID, place, message, help);
        }
        let id = read::text(node, "id").unwrap_or_default();
        let scopes = scopes.of_key(node, held, place, report);
        self.accepts_opaque |= read::text(node, "format") == Some("opaque");
        self.ids.push((id, at));
        let digest = read::text(node, "sha256").and_then(forms::decode_digest);
        let Some(digest) = digest else { return };
        self.digests.push((digest, at));
        self.keys.push(ApiKey {
            id: id.into(),
            digest,
            consumer: consumer_id(at.0),
            scopes,
            state: match read::text(node, "state") {
                Some("revoked") => KeyState::Revoked,
                Some("retiring") => KeyState::Retiring,
                _ => KeyState::Active,
            },
            not_before,
            expires,
        });
    }

    /// An upstream is told the id of a key, or the name of a token's issuer: they must not be alike.
    fn report_issuers(&self, issuers: &Issuers, section: &Place<'_>, report: &mut Report) {
        for (id, (consumer, key)) in &self.ids {
            if let Some(issuer) = issuers.all.iter().find(|issuer| *issuer.name == **id) {
                let message = format!("{} is the name of an issuer too", Shown(&issuer.name));
                let (consumer, list) = (section.item(*consumer), "api_keys");
                let place = consumer.field(list);
                report.error(code::DUPLICATE_NAME, &place.item(*key).field("id"), message, "");
            }
        }
    }

    fn report_duplicates(&mut self, section: &Place<'_>, report: &mut Report) {
        for ((_, first), (name, later)) in
            duplicates(&mut self.names, |name| rank_of(name.as_bytes()))
        {
            if !name.is_empty() {
                let message = format!("{} is the name of consumer {first} too", Shown(name));
                let place = section.item(later);
                report.error(code::DUPLICATE_NAME, &place.field("name"), message, "");
            }
        }
        let mut same = |code, field, what: &str, first: KeyPlace, later: KeyPlace| {
            let message = format!("is {what} of /consumers/{}/api_keys/{} too", first.0, first.1);
            let (consumer, list) = (section.item(later.0), "api_keys");
            report.error(code, &consumer.field(list).item(later.1).field(field), message, "");
        };
        for ((_, first), (id, later)) in duplicates(&mut self.ids, |id| rank_of(id.as_bytes())) {
            if !id.is_empty() {
                same(code::DUPLICATE_NAME, "id", "the id", first, later);
            }
        }
        for ((_, first), (_, later)) in duplicates(&mut self.digests, |digest| rank_of(digest)) {
            same(code::DUPLICATE_DIGEST, "sha256", "the digest", first, later);
        }
    }
}

fn consumer_id(index: usize) -> ConsumerId {
    ConsumerId(u32::try_from(index).unwrap_or(u32::MAX))
}

/// Neighbours with the same key, once everything is sorted.
fn duplicates<K: Ord + Copy, P: Ord + Copy>(
    all: &mut [(K, P)],
    rank: impl Fn(&K) -> u64,
) -> Vec<((K, P), (K, P))> {
    sort_by_rank(all, |(key, _)| rank(key), Ord::cmp);
    let pairs = all.windows(2).filter_map(|pair| match pair {
        [first, later] if first.0 == later.0 => Some((*first, *later)),
        _ => None,
    });
    pairs.collect()
}
