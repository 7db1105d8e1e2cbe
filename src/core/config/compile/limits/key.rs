//! Keys of limits: what each part is, and whether a request can have it at all.

use super::super::super::diagnostic::{Report, Shown, code};
use super::super::super::place::Place;
use super::super::claims::Claims;
use super::super::{header, read};
use crate::authn::claim_value::ClaimPath;
use crate::authn::token::ClaimId;
use crate::limit::{KeyParts, More, Named, Prefix};
use crate::node::Node;
use crate::sorted::sort_by;

/// Most parts of a key: each is looked for in every request on which the limit counts.
const MAX_PARTS: usize = 16;

/// What else of a policy the names of buckets are made of.
pub(in super::super) struct Sources<'s> {
    pub(in super::super) gateway: &'s str,
    pub(in super::super) reads_country: bool,
    pub(in super::super) has_issuers: bool,
    pub(in super::super) trusted: &'s [Box<str>],
    pub(in super::super) claims: &'s mut Claims,
}

/// Parts that were read so far, and what is wrong with them.
struct Reader<'r, 's> {
    key: KeyParts,
    more: More,
    sources: &'r mut Sources<'s>,
    report: &'r mut Report,
}

/// The key of one limit.
pub(super) fn parts(
    limit: &Node<'_>,
    place: &Place<'_>,
    sources: &mut Sources<'_>,
    report: &mut Report,
) -> KeyParts {
    let list = place.field("key");
    read::bound(limit, "key", MAX_PARTS, &list, report);
    let mut reader = Reader { key: KeyParts::default(), more: More::default(), sources, report };
    for (index, part) in read::items(limit, "key").iter().enumerate().take(MAX_PARTS) {
        let place = list.item(index);
        let is_new = match part.as_text() {
            Some(word) => reader.word(word, &place),
            None => reader.named(part, &place),
        };
        if !is_new {
            let message = "the key has this part already";
            reader.report.error(code::DUPLICATE_ENTRY, &place, message, "leave one out");
        }
    }
    let Reader { mut key, mut more, .. } = reader;
    sort_by(&mut more.named, |(one, part), (other, with)| {
        (one, part.letter()).cmp(&(other, with.letter()))
    });
    if more != More::default() {
        key.more = Some(Box::new(more));
    }
    key
}

impl Reader<'_, '_> {
    /// A part that is a word. False: the key has it already.
    fn word(&mut self, word: &str, place: &Place<'_>) -> bool {
        let part = match word {
            "consumer" => &mut self.key.consumer,
            "credential" => &mut self.key.credential,
            "route" => &mut self.key.route,
            "method" => &mut self.more.method,
            "country" => {
                if !self.sources.reads_country {
                    let message = "no `country_header` is set, so no request has a country";
                    let help = "name the header that Envoy's geoip filter sets: \
                                `country_header: x-geo-country`";
                    self.report.error(code::COUNTRY_HEADER_MISSING, place, message, help);
                }
                &mut self.more.country
            }
            "address" => return self.key.address.replace(Prefix::PLAIN).is_none(),
            // Reported with the shape of the document.
            _ => return true,
        };
        !std::mem::replace(part, true)
    }

    /// A part with a size or a name. False: the key has it already.
    fn named(&mut self, part: &Node<'_>, place: &Place<'_>) -> bool {
        if let Some(sizes) = part.member("address") {
            let size = |field, plain| {
                read::size(sizes, field).and_then(|size| u8::try_from(size).ok()).unwrap_or(plain)
            };
            let Prefix { v4, v6 } = Prefix::PLAIN;
            let prefix = Prefix { v4: size("v4", v4), v6: size("v6", v6) };
            return self.key.address.replace(prefix).is_none();
        }
        let (name, named) = if let Some(name) = read::text(part, "claim") {
            let Some(id) = self.claim(name, &place.field("claim")) else { return true };
            (name.into(), Named::Claim(id))
        } else {
            let Some(name) = read::text(part, "header").and_then(header) else { return true };
            let Some(at) = self.header(&name, &place.field("header")) else { return true };
            (name, Named::Header(at))
        };
        let part = (name, named);
        let is_new = !self.more.named.contains(&part);
        self.more.named.push(part);
        is_new
    }

    fn claim(&mut self, name: &str, place: &Place<'_>) -> Option<ClaimId> {
        if !self.sources.has_issuers {
            let message = "claims need `issuers`, and the policy has none";
            self.report.error(code::MISSING_FIELD, place, message, "say who signs tokens");
        }
        self.sources.claims.id(ClaimPath::dotted(name)?, place, self.report)
    }

    fn header(&mut self, name: &str, place: &Place<'_>) -> Option<u8> {
        let position = self.sources.trusted.iter().position(|other| **other == *name);
        if position.is_none() {
            let message = format!("{} is none of `trusted_headers`", Shown(name));
            let help = "list it there if the hop in front sets or removes it in every request: by a \
                        header that callers can send they choose their bucket";
            self.report.error(code::UNKNOWN_NAME, place, message, help);
        }
        u8::try_from(position?).ok()
    }
}
