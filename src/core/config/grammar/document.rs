//! The document as a whole, and what its parts have in common.

use super::Kind::{self, Bool, Either, Integer, List, Map, Object, Text};
use super::Presence::{Default, From, Optional, Required};
use super::Rule::Needs;
use super::callers::{CONSUMER, NETWORK};
use super::settings::{API_KEY_SOURCES, CLIENT_ADDRESS, FLEET, IDENTITY_HEADERS};
use super::tokens::{ISSUER, JWT, PRECEDENCE};
use super::traffic::{LIMIT, PLAN, ROUTE};
use super::{Shape, field, shape, word};
use crate::config::forms;

/// The whole document.
pub static POLICY: Shape = shape(
    "the policy",
    &[
        field(
            "version",
            Required,
            Integer { min: 1, max: 1 },
            "The version of the policy language: the number 1.",
        ),
        field(
            "gateway",
            Required,
            Text(&forms::NAME),
            "The gateway's name in audit records, metrics and bucket keys. Gateways of one Envoy that share a name share their limits' buckets.",
        ),
        field(
            "realm",
            From("gateway"),
            Text(&forms::REALM),
            "The realm of the `WWW-Authenticate` challenge.",
        ),
        field(
            "mode",
            Default("\"enforce\""),
            MODE,
            "Whether refusals are carried out, for all routes.",
        ),
        field(
            "client_address",
            Default("{\"source\": \"peer\"}"),
            Object(&CLIENT_ADDRESS),
            "Where the caller's address is taken from.",
        ),
        field(
            "country_header",
            Optional,
            Text(&forms::HEADER),
            "The request header in which Envoy's geoip filter puts the country. Required as soon as a network has countries or a limit counts by them.",
        ),
        field(
            "trusted_headers",
            Optional,
            List(&Text(&forms::HEADER)),
            "Request headers that the hop in front of this Envoy sets or removes, in every request. Whoever else can send them chooses the bucket that counts. At most 8.",
        ),
        field(
            "api_key",
            Default("{\"sources\": [{\"header\": \"x-api-key\"}]}"),
            Object(&API_KEY_SOURCES),
            "Where API keys are read from.",
        ),
        field("jwt", Optional, Object(&JWT), "Where tokens are read from."),
        field(
            "precedence",
            Optional,
            PRECEDENCE,
            "Which credential counts when a request shows an API key and a token, both good and of a kind that the route takes. Left out, such a request is refused.",
        ),
        field(
            "share_keys",
            Default("false"),
            Bool,
            "Keeps fetched key sets in shared data also where the VM has no `vm_id`: any plugin without one can write there.",
        ),
        field(
            "identity_headers",
            Default(
                "{\"consumer\": \"x-portcullis-consumer\", \"credential\": \"x-portcullis-credential\", \"scopes\": \"x-portcullis-scopes\"}",
            ),
            Either { short: &NO_IDENTITY, long: &IDENTITY_HEADERS },
            "Which request headers tell the upstream who is calling. What a caller sends in these headers, or in the three default ones, never arrives.",
        ),
        field(
            "hand_over",
            Optional,
            List(&FACT),
            "What Envoy's filters behind this one are told, as filter state `wasm.portcullis.<word>` that no caller can write. For Envoy's own `ratelimit` filter.",
        ),
        field(
            "strip_headers",
            Optional,
            List(&Text(&forms::HEADER)),
            "Further request headers that never reach an upstream, in any spelling. At most 64.",
        ),
        field(
            "networks",
            Optional,
            Map { names: &forms::NAME, of: &Object(&NETWORK) },
            "Named sets of addresses and countries.",
        ),
        field(
            "deny",
            Optional,
            NETWORKS,
            "Networks that are refused before anything else, on every route.",
        ),
        field(
            "roles",
            Optional,
            Map { names: &forms::NAME, of: &List(&Text(&forms::SCOPE)) },
            "Named sets of scopes.",
        ),
        field("consumers", Optional, List(&Object(&CONSUMER)), "The callers."),
        field("issuers", Optional, List(&Object(&ISSUER)), "Who signs tokens. At most 64."),
        field(
            "limits",
            Optional,
            Map { names: &forms::NAME, of: &Object(&LIMIT) },
            "Rate limits, to be named by `global_limits`, plans, consumers and routes.",
        ),
        field(
            "fleet",
            Optional,
            Object(&FLEET),
            "The rate limit service that counts the limits of `scope: fleet`.",
        ),
        field("global_limits", Optional, LIMITS, "Limits that apply to every request."),
        field(
            "plans",
            Optional,
            Map { names: &forms::NAME, of: &Object(&PLAN) },
            "What consumers have agreed to, to be named by them.",
        ),
        field(
            "limit_headers",
            Default("[\"standard\"]"),
            List(&Kind::Choice(&[
                word("standard", "`RateLimit-Policy` and `RateLimit`, of all limits."),
                word(
                    "legacy",
                    "`X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` (in seconds), of the limit that is nearest to its end.",
                ),
                word(
                    "none",
                    "None of them, and neither of the others beside it; a 429 has its `Retry-After` all the same.",
                ),
            ])),
            "Which response headers tell callers of the limits that counted.",
        ),
        field(
            "routes",
            Required,
            List(&Object(&ROUTE)),
            "Which requests there are, and what each needs. A request that no route matches is refused.",
        ),
    ],
    &[Needs("jwt", "issuers"), Needs("precedence", "issuers"), Needs("share_keys", "issuers")],
    "The document as a whole.",
);

pub(super) const MODE: Kind = Kind::Choice(&[
    word("enforce", "Refuse what is to be refused."),
    word("observe", "Decide and record, but forward."),
]);
const FACT: Kind = Kind::Choice(&[
    word(
        "consumer",
        "Who calls, as `identity_headers` have it: a verified caller and nobody else.",
    ),
    word("plan", "The caller's plan, where it has one."),
    word("route", "The name of the route."),
    word(
        "cost",
        "The `cost` of the route; also as `envoy.ratelimit.hits_addend`, by which that filter counts.",
    ),
]);
pub(super) const NETWORKS: Kind = List(&Text(&forms::NETWORK_NAME));
pub(super) const LIMITS: Kind = List(&Text(&forms::LIMIT_NAME));
pub(super) const SCOPES: Kind = List(&Text(&forms::SCOPE));
pub(super) const NO_IDENTITY: Kind = Kind::Choice(&[word("none", "The upstream is not told.")]);
