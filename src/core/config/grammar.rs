//! The policy language as tables: every object, its fields, their types, bounds, defaults and meaning.
//!
//! One source for four readers: the checks of [`super::shape`], the policy's revision, the JSON Schema
//! and the reference page. What the tables cannot say (names that must be defined, routes that exclude
//! each other) is checked where the policy is compiled.

use super::forms;

/// What a value may be.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds, both included.
    Integer {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
    },
    /// Text in a certain form.
    Text(&'static Form),
    /// One of a few words.
    Choice(&'static [Choice]),
    /// At least one value of a kind; texts and words not twice.
    List(&'static Kind),
    /// At least one member, each with a name of the author's choice.
    Map {
        /// The form of the names.
        names: &'static Form,
        /// The kind of the values.
        of: &'static Kind,
    },
    /// An object with known fields.
    Object(&'static Shape),
    /// A text or word in place of an object, or the object.
    Either {
        /// The short way to write it: a text or a choice.
        short: &'static Kind,
        /// The object.
        long: &'static Shape,
    },
}

/// A form of text. Forms are checked, and given their one canonical spelling, by a function.
#[derive(Debug)]
pub struct Form {
    /// What messages and the reference call it, with its article.
    pub name: &'static str,
    /// What it looks like, in words; empty in the filter.
    pub doc: &'static str,
    /// An ECMA-262 expression for editors. It may accept more than `check` does; empty in the filter.
    pub pattern: &'static str,
    /// Whether a text here may be a secret, which no message then repeats.
    pub secret: bool,
    /// The canonical spelling of a text in this form, or what is wrong with it.
    pub(crate) check: forms::Check,
}

/// A word that a [`Kind::Choice`] takes.
#[derive(Debug)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// What it does; empty in the filter.
    pub doc: &'static str,
}

/// An object of the language.
#[derive(Debug)]
pub struct Shape {
    /// What messages and the reference call it, with its article: `a route`.
    pub name: &'static str,
    /// What it is for; empty in the filter.
    pub doc: &'static str,
    /// Its fields in the order of the reference.
    pub fields: &'static [Field],
    /// Which fields exclude or need each other.
    pub rules: &'static [Rule],
    /// Whether any text in it may be a secret that stands in the wrong place.
    pub secret: bool,
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What holds when it is left out.
    pub presence: Presence,
    /// What it means; empty in the filter.
    pub doc: &'static str,
}

/// What holds when a field is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It cannot be left out.
    Required,
    /// Nothing: it does not restrict or add anything.
    Optional,
    /// This value, as JSON text.
    Default(&'static str),
    /// The value of the field of this name beside it, up to the first slash.
    From(&'static str),
}

/// How the fields of an object depend on each other.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// One of these, and not two.
    ExactlyOne(&'static [&'static str]),
    /// One or more of these.
    AtLeastOne(&'static [&'static str]),
    /// The first has a meaning only beside the second.
    Needs(&'static str, &'static str),
}

/// The text in every build but the filter, where nobody reads it and every byte costs start-up time.
const fn prose(text: &'static str) -> &'static str {
    if cfg!(target_family = "wasm") { "" } else { text }
}

impl Form {
    pub(super) const fn new(
        name: &'static str,
        pattern: &'static str,
        check: forms::Check,
        doc: &'static str,
    ) -> Self {
        Self { name, doc: prose(doc), pattern: prose(pattern), secret: false, check }
    }
}

const fn word(word: &'static str, doc: &'static str) -> Choice {
    Choice { word, doc: prose(doc) }
}

const fn field(name: &'static str, presence: Presence, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, presence, doc: prose(doc) }
}

const fn shape(
    name: &'static str,
    fields: &'static [Field],
    rules: &'static [Rule],
    doc: &'static str,
) -> Shape {
    Shape { name, doc: prose(doc), fields, rules, secret: false }
}

use Kind::{Bool, Either, Integer, List, Map, Object, Text};
use Presence::{Default, From, Optional, Required};
use Rule::{AtLeastOne, ExactlyOne, Needs};

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
            "The request header in which Envoy's geoip filter puts the country. Required as soon as a network has countries.",
        ),
        field(
            "api_key",
            Default("{\"sources\": [{\"header\": \"x-api-key\"}]}"),
            Object(&API_KEY_SOURCES),
            "Where API keys are read from.",
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
            "strip_headers",
            Optional,
            List(&Text(&forms::HEADER)),
            "Further request headers that never reach an upstream, in any spelling.",
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
        field(
            "limits",
            Optional,
            Map { names: &forms::NAME, of: &Object(&LIMIT) },
            "Rate limits, to be named by `global_limits`, consumers and routes.",
        ),
        field("global_limits", Optional, LIMITS, "Limits that apply to every request."),
        field(
            "routes",
            Required,
            List(&Object(&ROUTE)),
            "Which requests there are, and what each needs. A request that no route matches is refused.",
        ),
    ],
    &[],
    "The document as a whole.",
);

const MODE: Kind = Kind::Choice(&[
    word("enforce", "Refuse what is to be refused."),
    word("observe", "Decide and record, but forward."),
]);
const NETWORKS: Kind = List(&Text(&forms::NETWORK_NAME));
const LIMITS: Kind = List(&Text(&forms::LIMIT_NAME));
const SCOPES: Kind = List(&Text(&forms::SCOPE));
const NO_IDENTITY: Kind = Kind::Choice(&[word("none", "The upstream is not told.")]);

static CLIENT_ADDRESS: Shape = shape(
    "a client address",
    &[
        field(
            "source",
            Required,
            Kind::Choice(&[
                word("peer", "The address of the connection, as Envoy's socket saw it."),
                word(
                    "envoy",
                    "What Envoy's connection manager derived; with Envoy's default `use_remote_address: false` this is the caller's own word.",
                ),
                word(
                    "forwarded_for",
                    "The right-most entry of `x-forwarded-for` that is not a trusted proxy.",
                ),
            ]),
            "Whose word is taken.",
        ),
        field(
            "trusted_proxies",
            Optional,
            List(&Text(&forms::CIDR)),
            "The proxies in front of this Envoy. Required for `forwarded_for`, without effect otherwise.",
        ),
        field(
            "trust_any_proxy",
            Default("false"),
            Bool,
            "Allows `0.0.0.0/0` or `::/0` as a trusted proxy: every caller can then choose its address.",
        ),
    ],
    &[Needs("trust_any_proxy", "trusted_proxies")],
    "Where the caller's address is taken from.",
);

static API_KEY_SOURCES: Shape = shape(
    "the API key settings",
    &[
        field(
            "sources",
            Default("[{\"header\": \"x-api-key\"}]"),
            List(&Object(&SOURCE)),
            "Every place that may hold a key. All are read on every route, and stripped.",
        ),
        field(
            "retiring_header",
            Optional,
            Text(&forms::HEADER),
            "Response header that tells a caller that its key is retiring: the time at which the key expires, or `true`.",
        ),
    ],
    &[],
    "Where API keys are read from.",
);

static SOURCE: Shape = shape(
    "a source",
    &[
        field(
            "header",
            Optional,
            Text(&forms::HEADER),
            "A request header whose whole value is the key.",
        ),
        field("query", Optional, Text(&forms::PARAMETER), "A query parameter."),
        field("cookie", Optional, Text(&forms::COOKIE), "A cookie."),
    ],
    &[ExactlyOne(&["header", "query", "cookie"])],
    "One place that may hold a key.",
);

static IDENTITY_HEADERS: Shape = shape(
    "the identity headers",
    &[
        field("consumer", Optional, Text(&forms::HEADER), "Header for the consumer's name."),
        field("credential", Optional, Text(&forms::HEADER), "Header for the id of the API key."),
        field(
            "scopes",
            Optional,
            Text(&forms::HEADER),
            "Header for the scopes, separated by spaces.",
        ),
    ],
    &[AtLeastOne(&["consumer", "credential", "scopes"])],
    "Names of the headers that tell the upstream who is calling. Only those named here are set.",
);

static NETWORK: Shape = shape(
    "a network",
    &[
        field(
            "cidrs",
            Optional,
            List(&Either { short: &Text(&forms::CIDR), long: &RANGE }),
            "Ranges of addresses.",
        ),
        field(
            "countries",
            Optional,
            List(&Text(&forms::COUNTRY)),
            "Countries, from the `country_header`.",
        ),
    ],
    &[AtLeastOne(&["cidrs", "countries"])],
    "A named set of addresses and countries.",
);

static RANGE: Shape = shape(
    "a range",
    &[
        field("cidr", Required, Text(&forms::CIDR), "The range."),
        field(
            "until",
            Optional,
            Text(&forms::TIME),
            "From this time on the range is not part of the network.",
        ),
        field(
            "note",
            Optional,
            Text(&forms::NOTE),
            "For people: why it is here. It has no effect.",
        ),
    ],
    &[],
    "A range of addresses with an end or a note.",
);

static CONSUMER: Shape = shape(
    "a consumer",
    &[
        field("name", Required, Text(&forms::NAME), "Its name, unique among consumers."),
        field("disabled", Default("false"), Bool, "Refuses all its credentials."),
        field("roles", Optional, List(&Text(&forms::ROLE_NAME)), "Roles whose scopes it holds."),
        field("scopes", Optional, SCOPES, "Scopes it holds besides those of its roles."),
        field("networks", Optional, NETWORKS, "It may call from these networks only."),
        field("deny", Optional, NETWORKS, "It may not call from these networks."),
        field("limits", Optional, LIMITS, "Limits that apply to its requests on every route."),
        field("api_keys", Optional, List(&Object(&API_KEY)), "Its API keys."),
    ],
    &[],
    "A configured caller.",
);

static API_KEY: Shape = Shape {
    secret: true,
    ..shape(
        "an API key",
        &[
            field(
                "id",
                Required,
                Text(&forms::KEY_ID),
                "Its name in audit records, unique in the policy. Not a secret.",
            ),
            field(
                "sha256",
                Required,
                Text(&forms::DIGEST),
                "SHA-256 of the whole key. The key itself never stands in a policy.",
            ),
            field(
                "state",
                Default("\"active\""),
                Kind::Choice(&[
                    word("active", "Accepted."),
                    word(
                        "retiring",
                        "Accepted; its use is counted, recorded, and told in the `retiring_header`.",
                    ),
                    word("revoked", "Refused."),
                ]),
                "Whether it is accepted.",
            ),
            field("not_before", Optional, Text(&forms::TIME), "Refused before this time."),
            field("expires", Optional, Text(&forms::TIME), "Refused from this time on."),
            field(
                "scopes",
                Optional,
                SCOPES,
                "The only scopes of its consumer that a request with this key has.",
            ),
            field(
                "format",
                Default("\"portcullis\""),
                Kind::Choice(&[
                    word(
                        "portcullis",
                        "`pcl_`, 43 characters, a checksum of 6: as `portcullis key new` makes them. A mistyped one is refused by its checksum.",
                    ),
                    word("opaque", "Any text."),
                ]),
                "How the key is written.",
            ),
        ],
        &[],
        "An API key: its digest, and for how long it is accepted.",
    )
};

static LIMIT: Shape = shape(
    "a limit",
    &[
        field(
            "key",
            Required,
            List(&Kind::Choice(&[
                word("consumer", "Each consumer for itself."),
                word("credential", "Each credential for itself."),
                word("address", "Each caller's address for itself; of IPv6 the /64."),
                word("route", "Each route for itself."),
            ])),
            "Whose requests share a bucket; several parts make one bucket for each combination.",
        ),
        field("rate", Required, Text(&forms::RATE), "How fast the bucket fills."),
        field(
            "burst",
            From("rate"),
            Integer { min: 1, max: forms::MAX_BURST },
            "How many requests a full bucket holds.",
        ),
    ],
    &[],
    "A token bucket and its key.",
);

static ROUTE: Shape = shape(
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
            "Methods; `*` is every method but CONNECT, TRACE and TRACK.",
        ),
        field(
            "access",
            Optional,
            Kind::Choice(&[
                word("public", "No credential is needed."),
                word("deny", "Refused, whatever another route allows."),
            ]),
            "What is asked of a caller, instead of credentials.",
        ),
        field(
            "credentials",
            Optional,
            List(&Kind::Choice(&[word("api_key", "An API key of a consumer.")])),
            "Any one of these kinds of credential is needed.",
        ),
        field("scopes", Optional, Object(&REQUIREMENT), "Scopes that the caller must hold."),
        field("limits", Optional, LIMITS, "Limits that apply to its requests."),
        field("networks", Optional, NETWORKS, "It may be called from these networks only."),
        field("deny", Optional, NETWORKS, "It may not be called from these networks."),
        field(
            "mode",
            Default("\"enforce\""),
            MODE,
            "Whether refusals are carried out, for this route.",
        ),
    ],
    &[
        ExactlyOne(&["paths", "envoy_routes"]),
        Needs("hosts", "paths"),
        ExactlyOne(&["access", "credentials"]),
        Needs("scopes", "credentials"),
    ],
    "Some requests, and what each of them needs.",
);

static REQUIREMENT: Shape = shape(
    "a scope requirement",
    &[
        field("all_of", Optional, SCOPES, "Every one of these."),
        field("any_of", Optional, SCOPES, "At least one of these."),
    ],
    &[AtLeastOne(&["all_of", "any_of"])],
    "Scopes that a caller must hold; with both fields, both must be met.",
);
