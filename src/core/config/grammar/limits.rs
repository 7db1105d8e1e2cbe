//! What limits count: whose requests, which of them, and at what cost.

use super::Kind::{self, Bool, Either, Integer, List, Object, Text};
use super::Presence::{Default, Optional, Required};
use super::Rule::{AtLeastOne, ExactlyOne};
use super::{Field, Shape, field, shape, word};
use crate::config::forms;

pub(super) const KEY: Kind = List(&Either { short: &WORD, long: &KEY_PART });

const WORD: Kind = Kind::Choice(&[
    word("consumer", "Each consumer for itself."),
    word("credential", "Each credential for itself."),
    word("address", "Each caller's address for itself; of IPv6 the /64."),
    word("route", "Each route for itself."),
    word("method", "Each registered method for itself; all others are one."),
    word("country", "Each country for itself, by `country_header`."),
]);

static KEY_PART: Shape = shape(
    "a part of a key",
    &[
        field("address", Optional, Object(&PREFIXES), "Each network of this size for itself."),
        field(
            "claim",
            Optional,
            Text(&forms::CLAIM),
            "Each value of this claim of the verified token for itself. One that is no text, number or boolean counts as none.",
        ),
        field(
            "header",
            Optional,
            Text(&forms::HEADER),
            "Each value of this request header for itself. It must be one of `trusted_headers`.",
        ),
    ],
    &[ExactlyOne(&["address", "claim", "header"])],
    "What a limit tells callers apart by, where a word does not say it.",
);

static PREFIXES: Shape = shape(
    "sizes of networks",
    &[
        field(
            "v4",
            Default("32"),
            Integer { min: 8, max: 32 },
            "Bits of an IPv4 address that count.",
        ),
        field(
            "v6",
            Default("64"),
            Integer { min: 16, max: 128 },
            "Bits of an IPv6 address that count.",
        ),
    ],
    &[AtLeastOne(&["v4", "v6"])],
    "How much of an address counts.",
);

pub(super) const COUNTS: Field = field(
    "counts",
    Default("\"requests\""),
    Kind::Choice(&[
        word("requests", "Every request takes tokens."),
        word(
            "failures",
            "A request takes one token when it is refused because of a credential that it shows. While none is left, all requests of the key are refused. The key holds an address, and perhaps the route.",
        ),
    ]),
    "Which requests take tokens.",
);

pub(super) const CHARGED: Field = field(
    "charge",
    Optional,
    Object(&CHARGE),
    "Takes more tokens when the upstream's response says what the request has cost.",
);

static CHARGE: Shape = shape(
    "a charge",
    &[
        field(
            "header",
            Required,
            Text(&forms::HEADER),
            "The response header that holds the cost: a whole number. What cannot be read so, and two lines, count as `max`; none adds nothing.",
        ),
        field(
            "max",
            Required,
            Integer { min: 1, max: forms::MAX_BURST },
            "The most that one request costs; a larger number counts as this.",
        ),
        field("forward", Default("false"), Bool, "Lets the header go on to the caller."),
    ],
    &[],
    "What a request has cost, as its response tells it.",
);
