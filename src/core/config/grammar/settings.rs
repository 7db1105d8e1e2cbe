//! Where a gateway reads addresses and keys from, and what it tells an upstream.

use super::Kind::{self, Bool, Integer, List, Object, Text};
use super::Presence::{Default, Optional, Required};
use super::Rule::{AtLeastOne, ExactlyOne, Needs};
use super::{Shape, field, shape, word};
use crate::config::forms;

pub(super) static CLIENT_ADDRESS: Shape = shape(
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
            "The proxies in front of this Envoy. Required for `forwarded_for`, without effect otherwise. At most 1,024.",
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

pub(super) static API_KEY_SOURCES: Shape = shape(
    "the API key settings",
    &[
        field(
            "sources",
            Default("[{\"header\": \"x-api-key\"}]"),
            List(&Object(&SOURCE)),
            "Every place that may hold a key. All are read on every route, and stripped. At most 8, of which 4 headers.",
        ),
        field(
            "retiring_header",
            Optional,
            Text(&forms::HEADER),
            "Response header that tells a caller that its key is retiring: the time at which the key expires, or `true`.",
        ),
    ],
    &[AtLeastOne(&["sources", "retiring_header"])],
    "Where API keys are read from.",
);

pub(super) static SOURCE: Shape = shape(
    "a source",
    &[
        field("header", Optional, Text(&forms::HEADER), "A request header."),
        field("query", Optional, Text(&forms::PARAMETER), "A query parameter."),
        field("cookie", Optional, Text(&forms::COOKIE), "A cookie."),
    ],
    &[ExactlyOne(&["header", "query", "cookie"])],
    "One place that may hold a credential.",
);

pub(super) static IDENTITY_HEADERS: Shape = shape(
    "the identity headers",
    &[
        field(
            "consumer",
            Optional,
            Text(&forms::HEADER),
            "Header for the consumer's name; of a token without one, the issuer's name, a colon, and the claim that names the caller, percent-encoded.",
        ),
        field(
            "credential",
            Optional,
            Text(&forms::HEADER),
            "Header for the id of the API key, or the name of the token's issuer.",
        ),
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

pub(super) static FLEET: Shape = shape(
    "a fleet",
    &[
        field(
            "cluster",
            Required,
            Text(&forms::CLUSTER),
            "The Envoy cluster of the service, which speaks HTTP/2.",
        ),
        field(
            "domain",
            Default("\"portcullis\""),
            Text(&forms::NAME),
            "The domain, or namespace, that the service has its limits under.",
        ),
        field(
            "timeout",
            Default("\"20ms\""),
            Text(&forms::TIMEOUT),
            "Longest that a request waits for the service.",
        ),
        field(
            "on_error",
            Default("\"local\""),
            Kind::Choice(&[
                word("local", "Each process goes on with its share of the limit."),
                word("deny", "The request is refused with 503, `limit_unavailable`."),
                word("allow", "The limit is passed over."),
            ]),
            "What happens while the service gives no answer.",
        ),
        field(
            "processes",
            Default("1"),
            Integer { min: 1, max: 1_000 },
            "Into how many shares `local` cuts rate and burst.",
        ),
    ],
    &[],
    "Envoy's rate limit service (`envoy.service.ratelimit.v3`), asked by the filter itself.",
);
