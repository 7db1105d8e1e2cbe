//! What a limit can tell callers apart by, from verified things only.
//!
//! Consumer, credential and claims are those of a verified credential; the address is the one that the
//! policy trusts; the country and the trusted headers are what the hop in front says. Route and method
//! come from lists.

use std::borrow::Cow;

use crate::address::Address;
use crate::authn::claim_value::{ClaimValue, Scalar, decimal, escape};
use crate::authn::token::ClaimId;
use crate::method;
use crate::network::Country;
use crate::request::Field;

/// What a limit tells callers apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyParts {
    pub(crate) consumer: bool,
    pub(crate) credential: bool,
    pub(crate) address: Option<Prefix>,
    pub(crate) route: bool,
    /// Parts that few limits have.
    pub(crate) more: Option<Box<More>>,
}

/// How many bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) v4: u8,
    pub(crate) v6: u8,
}

impl Prefix {
    /// The part that one subscriber is counted by.
    pub(crate) const PLAIN: Self = Self { v4: 32, v6: 64 };
}

/// Parts that few limits have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct More {
    pub(crate) method: bool,
    pub(crate) country: bool,
    /// Parts with a name, sorted by it: the order in which a policy lists them must not decide which
    /// bucket they name.
    pub(crate) named: Vec<(Box<str>, Named)>,
}

/// A part that has a name in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A claim of a verified token.
    Claim(ClaimId),
    /// A trusted header, by its position among the policy's.
    Header(u8),
}

impl Named {
    /// A letter that says which of them it is.
    pub(crate) const fn letter(self) -> u8 {
        match self {
            Self::Claim(_) => b'c',
            Self::Header(_) => b'h',
        }
    }
}

impl Named {
    /// What stands before its name where both kinds stand beside other parts.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Claim(_) => "claim:",
            Self::Header(_) => "header:",
        }
    }
}

/// What a request has of a part with a name.
pub(super) enum Value<'k> {
    None,
    Bytes(&'k [u8]),
    Number(f64),
    Bool(bool),
}

impl KeyParts {
    /// Whether the address is the whole key: such a limit is spent before the credential is read.
    pub(crate) const fn is_address_alone(&self) -> bool {
        self.address.is_some() && self.is_place_alone() && !self.route
    }

    /// Whether nothing but the address and the route is in the key.
    pub(crate) const fn is_place_alone(&self) -> bool {
        !self.consumer && !self.credential && self.more.is_none()
    }
}

impl KeyParts {
    /// The parts by their names, and what a request has for each. Of a header that is its length alone:
    /// what a caller sends in one is not repeated.
    pub(crate) fn values(&self, of: &Subject<'_>) -> Vec<(Cow<'static, str>, Option<String>)> {
        let mut values = Vec::new();
        let mut add = |is_part: bool, name: &'static str, value: Option<&str>| {
            if is_part {
                values.push((Cow::Borrowed(name), value.map(str::to_owned)));
            }
        };
        add(self.consumer, "consumer", of.consumer);
        add(self.credential, "credential", of.credential);
        add(self.route, "route", of.route);
        if let Some(Prefix { v4, v6 }) = self.address {
            let address = of.address.map(|address| address.network(v4, v6));
            let text = address.map(|address| match address {
                Address::V4(_) if v4 == 32 => address.to_string(),
                Address::V4(_) => format!("{address}/{v4}"),
                Address::V6(_) => format!("{address}/{v6}"),
            });
            add(true, "address", text.as_deref());
        }
        let Some(more) = &self.more else { return values };
        let method = of.method.map(|_| of.registered().unwrap_or("(not registered)"));
        add(more.method, "method", method);
        add(more.country, "country", of.country.as_ref().map(|country| country.as_str()));
        for (name, named) in &more.named {
            let value = match (of.value(*named), named) {
                (Value::None, _) => None,
                (Value::Bytes(bytes), Named::Header(_)) => Some(format!("({} bytes)", bytes.len())),
                (Value::Bytes(text), Named::Claim(_)) => {
                    Some(format!("{:?}", String::from_utf8_lossy(text)))
                }
                (Value::Number(number), _) => decimal(number),
                (Value::Bool(flag), _) => Some(flag.to_string()),
            };
            let what = if matches!(named, Named::Claim(_)) { "claim" } else { "header" };
            values.push((Cow::Owned(format!("{what} {name}")), value));
        }
        values
    }
}

impl Value<'_> {
    /// As visible ASCII, for a service that counts by texts; no two values are told alike. An escaped text has
    /// no space, and a `%` only before two digits.
    pub(super) fn told(&self) -> String {
        match self {
            Self::None => "-".to_owned(),
            Self::Bytes([]) => "%".to_owned(),
            Self::Bytes(b"-") => "%2D".to_owned(),
            Self::Bytes(bytes) => {
                let mut text = String::with_capacity(bytes.len());
                escape(&mut text, bytes);
                text
            }
            Self::Number(number) => ["number ", &decimal(*number).unwrap_or_default()].concat(),
            Self::Bool(true) => "boolean true".to_owned(),
            Self::Bool(false) => "boolean false".to_owned(),
        }
    }
}

/// What is known of a request when a limit asks for its bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'k> {
    pub(crate) consumer: Option<&'k str>,
    pub(crate) credential: Option<&'k str>,
    pub(crate) address: Option<Address>,
    pub(crate) route: Option<&'k str>,
    /// Whether consumer and credential are somebody of whom the policy says nothing: there may be any
    /// number of them.
    pub(crate) is_stranger: bool,
    pub(crate) method: Option<&'k str>,
    pub(crate) country: Option<Country>,
    /// Of a verified token what the policy's rules keep of it; empty where there is none.
    pub(crate) claims: &'k [Option<ClaimValue>],
    /// The lines of trusted headers that are there, by their positions.
    pub(crate) trusted: &'k [(u8, Field<'k>)],
}

impl<'k> Subject<'k> {
    /// Of a claim its text, number or boolean; of a header its line. Two lines were refused before.
    pub(super) fn value(&self, named: Named) -> Value<'k> {
        match named {
            Named::Claim(id) => match self.claims.get(usize::from(id.0)) {
                Some(Some(ClaimValue::One(Scalar::Text(text)))) => Value::Bytes(text.as_bytes()),
                Some(Some(ClaimValue::One(Scalar::Number(number)))) => Value::Number(*number),
                Some(Some(ClaimValue::One(Scalar::Bool(flag)))) => Value::Bool(*flag),
                _ => Value::None,
            },
            Named::Header(position) => {
                let line = self.trusted.iter().find(|(other, _)| *other == position);
                line.and_then(|(_, field)| field.one()).map_or(Value::None, Value::Bytes)
            }
        }
    }

    pub(super) fn registered(&self) -> Option<&'k str> {
        self.method.filter(|method| method::is_registered(method))
    }
}
