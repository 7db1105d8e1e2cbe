//! Limits and routes.

use super::Kind::{self, Day, Integer, List, Object, Text};
use super::Presence::{Default, From, Optional, Required};
use super::Rule::{self, ExactlyOne, Needs};
use super::document::{LIMITS, MODE, NETWORKS, SCOPES};
use super::limits::{CHARGED, COUNTS, KEY};
use super::tokens::{CONDITIONS, SCHEDULED};
use super::{Field, Shape, field, shape, word};
use crate::config::forms;

pub(super) static LIMIT: Shape = shape(
    "a limit",
    &[
        field(
            "key",
            Required,
            KEY,
            "Whose requests share a bucket; several parts make one bucket for each combination. At most 16.",
        ),
        RATE,
        BURST,
        QUOTA,
        RESETS,
        field(
            "windows",
            Optional,
            List(&Object(&WINDOW)),
            "Several rates and quotas, all of which must have room. Each has a unit of its own. At most 8.",
        ),
        field(
            "scope",
            Default("\"process\""),
            Kind::Choice(&[
                word("process", "This Envoy counts for itself."),
                word(
                    "fleet",
                    "The rate limit service of `fleet` counts for all that ask it. Takes one rate or quota.",
                ),
            ]),
            "Who counts.",
        ),
        field(
            "lease",
            Default("1"),
            Integer { min: 1, max: 10_000 },
            "For how many hits a worker asks the service at once: as many requests where each costs 1. With `scope: fleet` only.",
        ),
        field(
            "concurrent",
            Optional,
            Integer { min: 1, max: 65_535 },
            "How many requests may be in flight at once.",
        ),
        field(
            "mode",
            Default("\"enforce\""),
            MODE,
            "Whether its refusals are carried out. A limit that observes counts and is recorded, and callers are told nothing of it.",
        ),
        COUNTS,
        CHARGED,
    ],
    &[ExactlyOne(&["rate", "quota", "windows", "concurrent"]), BURST_RULE, RESETS_RULE],
    "How many requests are admitted, and who shares that number.",
);

pub(super) static PLAN: Shape = shape(
    "a plan",
    &[field("limits", Required, LIMITS, "Limits that apply to requests of its consumers.")],
    &[],
    "What some consumers have in common.",
);

static WINDOW: Shape = shape(
    "a window",
    &[RATE, BURST, QUOTA, RESETS],
    &[ExactlyOne(&["rate", "quota"]), BURST_RULE, RESETS_RULE],
    "One of several windows of a limit.",
);

const RATE: Field =
    field("rate", Optional, Text(&forms::RATE), "How fast a bucket of tokens fills.");
const BURST: Field = field(
    "burst",
    From("rate"),
    Integer { min: 1, max: forms::MAX_BURST },
    "How many requests a full bucket holds.",
);
const QUOTA: Field = field(
    "quota",
    Optional,
    Text(&forms::QUOTA),
    "How many requests each window of the calendar (UTC) holds.",
);
const RESETS: Field = field(
    "resets",
    Optional,
    Day(&[
        word("monday", ""),
        word("tuesday", ""),
        word("wednesday", ""),
        word("thursday", ""),
        word("friday", ""),
        word("saturday", ""),
        word("sunday", ""),
    ]),
    "On which day the window begins, as the clock of UTC says midnight: of a week a weekday, `monday` if left out; of a month a number, 1 if left out.",
);
const BURST_RULE: Rule = Needs("burst", "rate");
const RESETS_RULE: Rule = Needs("resets", "quota");

pub(super) static ROUTE: Shape = shape(
    "a route",
    &[
        field(
            "name",
            Required,
            Text(&forms::NAME),
            "Its name in audit records and metrics, unique among routes.",
        ),
        field("hosts", Optional, List(&Text(&forms::HOST)), "Hosts; left out, any host."),
        field("paths", Optional, List(&Text(&forms::PATH)), "Path patterns."),
        field(
            "envoy_routes",
            Optional,
            List(&Text(&forms::ENVOY_ROUTE)),
            "Names of Envoy's own routes, instead of hosts and paths.",
        ),
        field(
            "methods",
            Required,
            List(&Text(&forms::METHOD)),
            "Methods; `*` is every method but CONNECT, TRACE and TRACK, on a deny route every method.",
        ),
        field(
            "access",
            Optional,
            Kind::Choice(&[
                word("public", "No credential is needed."),
                word(
                    "deny",
                    "Refused, whatever another route allows, in any case of the path's letters.",
                ),
            ]),
            "What is asked of a caller, instead of credentials.",
        ),
        field(
            "credentials",
            Optional,
            List(&Kind::Choice(&[
                word("api_key", "An API key of a consumer."),
                word("jwt", "A token of an issuer."),
            ])),
            "Any one of these kinds of credential is needed.",
        ),
        field(
            "issuers",
            Optional,
            List(&Text(&forms::ISSUER_NAME)),
            "Issuers whose tokens it takes. Left out: all.",
        ),
        field("scopes", Optional, Object(&REQUIREMENT), "Scopes that the caller must hold."),
        field(
            "claims",
            Optional,
            CONDITIONS,
            "Conditions on the token's claims, all of which must hold. Only for routes that take tokens alone. At most 16.",
        ),
        field("api_key_schedule", Optional, SCHEDULED, "When it stops to take API keys."),
        field("limits", Optional, LIMITS, "Limits that apply to its requests."),
        field(
            "cost",
            Default("1"),
            Integer { min: 1, max: forms::MAX_BURST },
            "How many tokens one of its requests takes from each limit that applies to it.",
        ),
        field("networks", Optional, NETWORKS, "It may be called from these networks only."),
        field("deny", Optional, NETWORKS, "It may not be called from these networks."),
        field(
            "mode",
            Default("\"enforce\""),
            MODE,
            "Whether refusals are carried out, for this route. A deny route cannot observe: it would forward what the routes under it refuse.",
        ),
    ],
    &[
        ExactlyOne(&["paths", "envoy_routes"]),
        Needs("hosts", "paths"),
        ExactlyOne(&["access", "credentials"]),
        Needs("scopes", "credentials"),
        Needs("issuers", "credentials"),
        Needs("claims", "credentials"),
        Needs("api_key_schedule", "credentials"),
    ],
    "Some requests, and what each of them needs.",
);

pub(super) static REQUIREMENT: Shape = shape(
    "a scope requirement",
    &[
        field("all_of", Optional, SCOPES, "Every one of these."),
        field("any_of", Optional, SCOPES, "At least one of these."),
    ],
    &[ExactlyOne(&["all_of", "any_of"])],
    "Scopes that a caller must hold.",
);
