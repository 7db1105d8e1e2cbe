//! Tokens: where they are read from, who signs them, and whose they are.

use super::Kind::{self, Bool, Integer, List, Map, Object, Scalar, Text};
use super::Presence::{Default, Optional, Required};
use super::Rule::{AtLeastOne, ExactlyOne, Needs};
use super::settings::SOURCE;
use super::{Shape, field, shape, word};
use crate::config::forms;

pub(super) static JWT: Shape = shape(
    "the token settings",
    &[
        field(
            "sources",
            Default("[{\"header\": \"authorization\"}]"),
            List(&Object(&SOURCE)),
            "Every place that may hold a token: of `authorization` what follows the scheme `Bearer`, of any other place the whole value. All are read on every route, and stripped. At most 8.",
        ),
        field("forward", Default("false"), Bool, "Lets tokens go on to the upstream."),
        field(
            "max_size",
            Default("8192"),
            Integer { min: 256, max: 65_536 },
            "Longest token, in bytes.",
        ),
        field(
            "cache_tokens",
            Default("4096"),
            Integer { min: 0, max: 65_536 },
            "How many verified tokens each worker remembers, so that each costs its signature once. Rounded up to a power of two; 0 is none.",
        ),
        field(
            "resource_metadata",
            Optional,
            Text(&forms::URL),
            "Address of the protected resource's metadata (RFC 9728), told in every `Bearer` challenge.",
        ),
        field(
            "claim_headers",
            Optional,
            List(&Object(&CLAIM_HEADER)),
            "Claims that the upstream is told, percent-encoded. What a caller sends in these headers never arrives. At most 16.",
        ),
    ],
    &[],
    "Where tokens are read from, and what becomes of them.",
);

static CLAIM_HEADER: Shape = shape(
    "a claim header",
    &[
        field("claim", Required, Text(&forms::CLAIM), "The claim."),
        field("header", Required, Text(&forms::HEADER), "The request header that is set to it."),
    ],
    &[],
    "A claim that is told to the upstream. Entries of a list are separated by commas; a value of more than 1,024 bytes is left out.",
);

pub(super) static ISSUER: Shape = shape(
    "an issuer",
    &[
        field("name", Required, Text(&forms::NAME), "Its name, unique among issuers."),
        field("issuer", Required, Text(&forms::ISSUER), "What `iss` must be, letter by letter."),
        field(
            "audiences",
            Required,
            List(&Text(&forms::TEXT)),
            "One of these must be in `aud`, letter by letter.",
        ),
        field(
            "algorithms",
            Required,
            List(&ALGORITHM),
            "Algorithms that its keys may use. A key without `alg` is for the first of its type in the order of this table.",
        ),
        field("keys", Required, Object(&KEYS), "Where its keys come from."),
        field(
            "types",
            Optional,
            List(&Text(&forms::MEDIA_TYPE)),
            "What `typ` must be, such as `at+jwt` (RFC 9068). Left out: absent, `JWT` or `at+jwt`.",
        ),
        field(
            "leeway",
            Default("\"30s\""),
            Text(&forms::DURATION),
            "By how much clocks may differ; at most 5 minutes.",
        ),
        field(
            "max_lifetime",
            Optional,
            Text(&forms::DURATION),
            "Longest time from `iat` to `exp`; `iat` is then required.",
        ),
        field("claims", Optional, Object(&CLAIMS), "Where in a token things stand."),
        field(
            "roles",
            Optional,
            Map { names: &forms::TEXT, of: &Text(&forms::ROLE_NAME) },
            "Which of the token's roles is which role of the policy. Left out: those of the same name.",
        ),
        field("revoked", Optional, List(&Object(&REVOCATION)), "Tokens that are refused."),
    ],
    &[],
    "Somebody who signs tokens, and what is asked of them. `exp` is always required.",
);

const ALGORITHM: Kind = Kind::Choice(&[
    word("RS256", "RSASSA-PKCS1-v1_5 with SHA-256."),
    word("RS384", "The same with SHA-384."),
    word("RS512", "The same with SHA-512."),
    word("PS256", "RSASSA-PSS with SHA-256."),
    word("PS384", "The same with SHA-384."),
    word("PS512", "The same with SHA-512."),
    word("ES256", "ECDSA on P-256 with SHA-256."),
    word("ES384", "ECDSA on P-384 with SHA-384."),
    word("EdDSA", "Ed25519."),
    word("HS256", "HMAC with SHA-256; with `secrets` only."),
    word("HS384", "HMAC with SHA-384; with `secrets` only."),
    word("HS512", "HMAC with SHA-512; with `secrets` only."),
]);

static KEYS: Shape = Shape {
    secret: true,
    ..shape(
        "the keys of an issuer",
        &[
            field(
                "jwks",
                Optional,
                Text(&forms::JWKS),
                "The key set itself (RFC 7517), as JSON text. Public keys only.",
            ),
            field("secrets", Optional, List(&Text(&forms::VARIABLE)), SECRETS_DOC),
            field(
                "cluster",
                Optional,
                Text(&forms::CLUSTER),
                "The Envoy cluster that serves the key set.",
            ),
            field("path", Optional, Text(&forms::KEY_PATH), "Where on that cluster the set is."),
            field(
                "discovery",
                Default("false"),
                Bool,
                "Instead of `path`: asks the cluster for `/.well-known/openid-configuration` below the issuer (OpenID Connect Discovery 1.0, section 4). Its `issuer` must be ours and its `jwks_uri` on the same authority.",
            ),
            field(
                "authority",
                Optional,
                Text(&forms::AUTHORITY),
                "Host, and port if need be, that the cluster is asked for. Left out: that of the `issuer`.",
            ),
            field(
                "refresh",
                Default("\"5m\""),
                Text(&forms::DURATION),
                "The set is fetched anew at least this often, sooner if its `Cache-Control` says so. A key that was removed stops working within this time. From 1 second to 1 day.",
            ),
            field(
                "timeout",
                Default("\"3s\""),
                Text(&forms::DURATION),
                "Longest wait for an answer; from 1 second to 1 minute.",
            ),
            field(
                "max_stale",
                Default("\"1d\""),
                Text(&forms::DURATION),
                "How long a set is used while no newer one can be fetched; then tokens get 503. At least `refresh`, at most 30 days.",
            ),
            field(
                "cooldown",
                Default("\"5s\""),
                Text(&forms::DURATION),
                "Shortest time between two fetches of the process, whatever asks for them. A request with a key id that is not in the set waits for the next fetch, `cooldown` and `timeout` at most. From 1 second to 5 minutes.",
            ),
        ],
        &[
            ExactlyOne(&["jwks", "secrets", "cluster"]),
            Needs("path", "cluster"),
            Needs("discovery", "cluster"),
            Needs("authority", "cluster"),
            Needs("refresh", "cluster"),
            Needs("timeout", "cluster"),
            Needs("max_stale", "cluster"),
            Needs("cooldown", "cluster"),
        ],
        "Where the keys of an issuer come from: one of `jwks`, `secrets` and `cluster`.",
    )
};

const SECRETS_DOC: &str = "Names of one or two variables of the VM's environment (`host_env_keys`) that hold the secret in base64url, for HMAC. Two, while one takes over from the other.";

static CLAIMS: Shape = shape(
    "the claims of an issuer",
    &[
        field(
            "consumer",
            Default("\"sub\""),
            Text(&forms::CLAIM),
            "The claim that names the caller. A token without it is refused.",
        ),
        field(
            "scopes",
            Default("\"scope\""),
            Text(&forms::CLAIM),
            "Its scopes: a text with spaces between them, or a list.",
        ),
        field("roles", Optional, Text(&forms::CLAIM), "Its roles: a list."),
    ],
    &[AtLeastOne(&["consumer", "scopes", "roles"])],
    "Where in a token things stand.",
);

static REVOCATION: Shape = shape(
    "a revocation",
    &[
        field("token", Optional, Text(&forms::TEXT), "The token of this `jti`."),
        field(
            "subject",
            Optional,
            Text(&forms::TEXT),
            "Tokens of this `sub`, or whose caller has this name.",
        ),
        field(
            "client",
            Optional,
            Text(&forms::TEXT),
            "Tokens of this `azp` or `client_id`, or whose caller has this name.",
        ),
        field("key", Optional, Text(&forms::TEXT), "Tokens signed by the key of this `kid`."),
        field("all", Optional, Bool, "`true`: all of the issuer's tokens."),
        field(
            "issued_before",
            Optional,
            Text(&forms::TIME),
            "Only those issued before this time, or that do not say when.",
        ),
    ],
    &[ExactlyOne(&["token", "subject", "client", "key", "all"])],
    "Tokens of an issuer that are refused with `token_revoked`. `issued_before` goes with `subject`, `client` and `all`.",
);

pub(super) static OWNED_TOKEN: Shape = shape(
    "a token of a consumer",
    &[
        field("issuer", Required, Text(&forms::ISSUER_NAME), "The name of the issuer."),
        field(
            "claim",
            Optional,
            Text(&forms::CLAIM),
            "The claim that is compared. Left out: the one that names the issuer's callers.",
        ),
        field("value", Required, Text(&forms::TEXT), "What it must be, letter by letter."),
    ],
    &[],
    "Which verified tokens are a consumer. They have those of its scopes that they hold themselves.",
);

pub(super) static CONDITION: Shape = shape(
    "a condition on a claim",
    &[
        field("claim", Required, Text(&forms::CLAIM), "The claim."),
        field("equals", Optional, Scalar, "It is this, of this type."),
        field("one_of", Optional, List(&Scalar), "It is one of these."),
        field("contains", Optional, Scalar, "It is a list that has this."),
        field(
            "path_parameter",
            Optional,
            Text(&forms::NAME),
            "It is the text that the path has for this `{name}`, which all of the route's paths have.",
        ),
    ],
    &[ExactlyOne(&["equals", "one_of", "contains", "path_parameter"])],
    "What a claim must be. A claim that is not there is nothing.",
);

pub(super) static SCHEDULE: Shape = shape(
    "a schedule",
    &[
        field(
            "deprecated",
            Optional,
            Text(&forms::TIME),
            "Responses carry this time in `Deprecation` (RFC 9745).",
        ),
        field(
            "sunset",
            Optional,
            Text(&forms::TIME),
            "Responses carry this time in `Sunset` (RFC 8594). From it on API keys are refused.",
        ),
        field(
            "link",
            Optional,
            Text(&forms::URL),
            "Where callers read what to do; in `Link` beside the others.",
        ),
    ],
    &[AtLeastOne(&["deprecated", "sunset"])],
    "When API keys end. Where consumer and route both have one, the earlier times count.",
);

/// The kind of a field that takes a schedule.
pub(super) const SCHEDULED: Kind = Object(&SCHEDULE);

/// The kind of a claim's conditions.
pub(super) const CONDITIONS: Kind = List(&Object(&CONDITION));

/// Which kind counts where one of each is shown.
pub(super) const PRECEDENCE: Kind =
    Kind::Choice(&[word("api_key", "The API key counts."), word("jwt", "The token counts.")]);
