//! Why a request is refused: one closed list, and everything that follows from a reason.
//!
//! The exact code goes to the operator (audit record, metric, Envoy's response code details). The
//! caller gets the coarser [`Public`] form, which does not tell an unknown key from a revoked one.

mod public;

pub use public::Public;

/// Why a request is refused. Codes are stable; later versions add codes and never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Denial {
    /// Method, path or host cannot be read in exactly one way.
    RequestMalformed,
    /// More than one credential, or one place that holds two.
    CredentialAmbiguous,
    /// The route needs a credential and none was shown.
    CredentialMissing,
    /// The credential is good, and of a kind or an issuer that the route does not take.
    CredentialNotAccepted,
    /// No configured key has this digest, or the text cannot be a key.
    KeyUnknown,
    /// The key's `not_before` is still to come.
    KeyNotYetValid,
    /// The key's `expires` has passed.
    KeyExpired,
    /// The key's state is `revoked`.
    KeyRevoked,
    /// API keys are not taken here any more: their `sunset` has passed.
    KeySunset,
    /// The token is not one signed token in its one spelling, or a claim has a wrong type.
    TokenMalformed,
    /// The token's `typ` is none that the issuer's tokens may have.
    TokenType,
    /// The token's `alg` is not allowed, or not that of its key.
    TokenAlgorithm,
    /// The issuer has no usable key that the token names.
    TokenKeyUnknown,
    /// The signature is not the key's over this token.
    TokenSignature,
    /// No configured issuer has this `iss`.
    TokenIssuer,
    /// The token is for somebody else: no configured audience is in `aud`.
    TokenAudience,
    /// The token's `exp` has passed.
    TokenExpired,
    /// The token's `nbf` or `iat` is still to come.
    TokenNotYetValid,
    /// The token lives longer than the policy allows, or does not say since when.
    TokenLifetime,
    /// The policy revokes the token, its key, its subject or its issuer.
    TokenRevoked,
    /// The credential is good, its consumer is disabled.
    ConsumerDisabled,
    /// The token is good, and its claims make it the token of two consumers.
    ConsumerAmbiguous,
    /// No route matches host and path.
    RouteUnknown,
    /// Routes match host and path, none of them this method.
    MethodNotAllowed,
    /// A route with `access: deny` matches.
    RouteDenied,
    /// The caller's address or country is in a denied network.
    AddressDenied,
    /// The route allows some networks and the caller is in none of them.
    AddressNotAllowed,
    /// A rule needs the caller's address and it is not known for certain.
    AddressUnknown,
    /// The consumer may call from some networks and this address is in none of them.
    NetworkNotAllowed,
    /// The principal lacks a scope that the route asks for.
    ScopeMissing,
    /// A claim of the token is not what the route asks for.
    ClaimNotAllowed,
    /// A limit has no token left.
    RateLimited,
    /// A limit of the fleet cannot be counted, and the policy says to refuse then.
    LimitUnavailable,
    /// As many requests are in flight as a limit allows.
    ConcurrencyLimited,
    /// The issuer's keys are not there, or too old.
    KeysUnavailable,
    /// The filter has no policy in force.
    PolicyUnavailable,
    /// Envoy refused a call that the decision needs.
    HostFailure,
}

/// One row of the table of reasons.
struct Row(Denial, &'static str, Public, &'static str);

/// Every reason once, in the order of the enum: code, public form, meaning for the operator.
const TABLE: [Row; 37] = [
    Row(
        Denial::RequestMalformed,
        "request_malformed",
        Public::Malformed,
        "method, path or host cannot be read in exactly one way",
    ),
    Row(
        Denial::CredentialAmbiguous,
        "credential_ambiguous",
        Public::Ambiguous,
        "more than one credential was sent, or one place holds two",
    ),
    Row(
        Denial::CredentialMissing,
        "credential_missing",
        Public::Unauthenticated,
        "the route needs a credential and none was sent",
    ),
    Row(
        Denial::CredentialNotAccepted,
        "credential_not_accepted",
        Public::Unauthenticated,
        "the credential is good, and of a kind or an issuer that the route does not take",
    ),
    Row(
        Denial::KeyUnknown,
        "key_unknown",
        Public::Unauthenticated,
        "no configured key has this digest, or the text cannot be a key",
    ),
    Row(
        Denial::KeyNotYetValid,
        "key_not_yet_valid",
        Public::Unauthenticated,
        "the key's `not_before` is still to come",
    ),
    Row(
        Denial::KeyExpired,
        "key_expired",
        Public::Unauthenticated,
        "the key's `expires` has passed",
    ),
    Row(Denial::KeyRevoked, "key_revoked", Public::Unauthenticated, "the key's state is `revoked`"),
    Row(
        Denial::KeySunset,
        "key_sunset",
        Public::Unauthenticated,
        "API keys are not taken here any more: their `sunset` has passed",
    ),
    Row(
        Denial::TokenMalformed,
        "token_malformed",
        Public::Unauthenticated,
        "the token is not one signed token in its one spelling, or a claim has a wrong type",
    ),
    Row(
        Denial::TokenType,
        "token_type",
        Public::Unauthenticated,
        "the token's `typ` is none that the issuer's tokens may have",
    ),
    Row(
        Denial::TokenAlgorithm,
        "token_algorithm",
        Public::Unauthenticated,
        "the token's `alg` is not allowed, or not that of its key",
    ),
    Row(
        Denial::TokenKeyUnknown,
        "token_key_unknown",
        Public::Unauthenticated,
        "the issuer has no usable key that the token names",
    ),
    Row(
        Denial::TokenSignature,
        "token_signature",
        Public::Unauthenticated,
        "the signature is not the key's over this token",
    ),
    Row(
        Denial::TokenIssuer,
        "token_issuer",
        Public::Unauthenticated,
        "no configured issuer has this `iss`",
    ),
    Row(
        Denial::TokenAudience,
        "token_audience",
        Public::Unauthenticated,
        "no configured audience is in `aud`",
    ),
    Row(
        Denial::TokenExpired,
        "token_expired",
        Public::Unauthenticated,
        "the token's `exp` has passed",
    ),
    Row(
        Denial::TokenNotYetValid,
        "token_not_yet_valid",
        Public::Unauthenticated,
        "the token's `nbf` or `iat` is still to come",
    ),
    Row(
        Denial::TokenLifetime,
        "token_lifetime",
        Public::Unauthenticated,
        "the token lives longer than the policy allows, or does not say since when",
    ),
    Row(
        Denial::TokenRevoked,
        "token_revoked",
        Public::Unauthenticated,
        "the policy revokes the token, its key, its subject or its issuer",
    ),
    Row(
        Denial::ConsumerDisabled,
        "consumer_disabled",
        Public::Unauthenticated,
        "the credential is good, its consumer is disabled",
    ),
    Row(
        Denial::ConsumerAmbiguous,
        "consumer_ambiguous",
        Public::Forbidden,
        "the token is good, and its claims make it the token of two consumers",
    ),
    Row(Denial::RouteUnknown, "route_unknown", Public::Forbidden, "no route matches host and path"),
    Row(
        Denial::MethodNotAllowed,
        "method_not_allowed",
        Public::Forbidden,
        "routes match host and path, none of them this method",
    ),
    Row(
        Denial::RouteDenied,
        "route_denied",
        Public::Forbidden,
        "a route with `access: deny` matches",
    ),
    Row(
        Denial::AddressDenied,
        "address_denied",
        Public::Forbidden,
        "the caller's address or country is in a denied network",
    ),
    Row(
        Denial::AddressNotAllowed,
        "address_not_allowed",
        Public::Forbidden,
        "the route allows some networks and the caller is in none of them",
    ),
    Row(
        Denial::AddressUnknown,
        "address_unknown",
        Public::Forbidden,
        "a rule needs the caller's address and it is not known for certain",
    ),
    Row(
        Denial::NetworkNotAllowed,
        "network_not_allowed",
        Public::Forbidden,
        "the consumer may call from some networks and this address is in none of them",
    ),
    Row(
        Denial::ScopeMissing,
        "scope_missing",
        Public::InsufficientScope,
        "the caller lacks a scope that the route asks for",
    ),
    Row(
        Denial::ClaimNotAllowed,
        "claim_not_allowed",
        Public::Forbidden,
        "a claim of the token is not what the route asks for",
    ),
    Row(Denial::RateLimited, "rate_limited", Public::RateLimited, "a limit has no token left"),
    Row(
        Denial::LimitUnavailable,
        "limit_unavailable",
        Public::Unavailable,
        "the rate limit service gives no answer, and the policy says `deny` then",
    ),
    Row(
        Denial::ConcurrencyLimited,
        "concurrency_limited",
        Public::RateLimited,
        "as many requests are in flight as a limit allows",
    ),
    Row(
        Denial::KeysUnavailable,
        "keys_unavailable",
        Public::Unavailable,
        "the issuer's keys are not there, or too old",
    ),
    Row(
        Denial::PolicyUnavailable,
        "policy_unavailable",
        Public::Unavailable,
        "the filter has no policy in force",
    ),
    Row(
        Denial::HostFailure,
        "host_failure",
        Public::Unavailable,
        "Envoy refused a call that the decision needs",
    ),
];

impl Denial {
    /// Every reason, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Position in the table, from 0: a dense index for counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The stable code: audit record, metric, response code details.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// Whether a credential that was shown is not good: a guess, or one that was good once. A genuine one
    /// that may not do this is none, nor is one that cannot be judged.
    pub(crate) const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::CredentialAmbiguous
                | Self::KeyUnknown
                | Self::KeyNotYetValid
                | Self::KeyExpired
                | Self::KeyRevoked
                | Self::KeySunset
                | Self::TokenMalformed
                | Self::TokenType
                | Self::TokenAlgorithm
                | Self::TokenKeyUnknown
                | Self::TokenSignature
                | Self::TokenIssuer
                | Self::TokenAudience
                | Self::TokenExpired
                | Self::TokenNotYetValid
                | Self::TokenLifetime
                | Self::TokenRevoked
        )
    }

    /// What the caller is told.
    pub fn public(self) -> Public {
        self.row().2
    }

    /// What the code means, for the operator.
    pub fn meaning(self) -> &'static str {
        self.row().3
    }

    /// HTTP status of the reply.
    pub fn status(self) -> u16 {
        self.public().status()
    }

    #[expect(clippy::indexing_slicing, reason = "a test holds that the table has every variant")]
    fn row(self) -> &'static Row {
        &TABLE[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (position, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0.index(), position, "{}", row.1);
        }
        assert_eq!(Denial::HostFailure.index(), TABLE.len() - 1);
    }

    #[test]
    fn every_refused_key_reads_the_same_to_the_caller() {
        // K08
        for denial in [
            Denial::KeyUnknown,
            Denial::KeyNotYetValid,
            Denial::KeyExpired,
            Denial::KeyRevoked,
            Denial::ConsumerDisabled,
        ] {
            assert_eq!(denial.public(), Public::Unauthenticated);
        }
    }
}
