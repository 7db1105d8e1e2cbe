//! Networks, consumers and their keys.

use super::Kind::{self, Bool, Either, List, Object, Text};
use super::Presence::{Default, Optional, Required};
use super::Rule::{AtLeastOne, Needs};
use super::document::{LIMITS, NETWORKS, SCOPES};
use super::tokens::{OWNED_TOKEN, SCHEDULED};
use super::{Shape, field, shape, word};
use crate::config::forms;

pub(super) static NETWORK: Shape = shape(
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

pub(super) static RANGE: Shape = shape(
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

pub(super) static CONSUMER: Shape = shape(
    "a consumer",
    &[
        field("name", Required, Text(&forms::NAME), "Its name, unique among consumers."),
        field("disabled", Default("false"), Bool, "Refuses all its credentials."),
        field("roles", Optional, List(&Text(&forms::ROLE_NAME)), "Roles whose scopes it holds."),
        field("scopes", Optional, SCOPES, "Scopes it holds besides those of its roles."),
        field("networks", Optional, NETWORKS, "It may call from these networks only."),
        field("deny", Optional, NETWORKS, "It may not call from these networks."),
        field(
            "plan",
            Optional,
            Text(&forms::PLAN_NAME),
            "The plan whose limits apply to its requests on every route.",
        ),
        field("limits", Optional, LIMITS, "Limits that apply to its requests on every route."),
        field("api_keys", Optional, List(&Object(&API_KEY)), "Its API keys."),
        field("api_key_schedule", Optional, SCHEDULED, "When its API keys end."),
        field("tokens", Optional, List(&Object(&OWNED_TOKEN)), "Which verified tokens are it."),
    ],
    &[Needs("api_key_schedule", "api_keys")],
    "A configured caller.",
);

pub(super) static API_KEY: Shape = Shape {
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
