//! What callers are told of a refusal, over HTTP and gRPC.

/// What the caller is told: a coarser form of the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    /// The request cannot be read in exactly one way.
    Malformed,
    /// Exactly one credential must be sent.
    Ambiguous,
    /// A valid credential is needed.
    Unauthenticated,
    /// This caller may not do this.
    Forbidden,
    /// The credential lacks a scope; which one is told.
    InsufficientScope,
    /// Too many requests.
    RateLimited,
    /// The gateway cannot decide now.
    Unavailable,
}

impl Public {
    /// HTTP status (RFC 9110 section 15, RFC 6585 section 4 for 429).
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Ambiguous => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::InsufficientScope => 403,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
        }
    }

    /// gRPC status code for callers that speak gRPC.
    pub const fn grpc_status(self) -> u8 {
        match self {
            Self::Malformed | Self::Ambiguous => 3,
            Self::Unauthenticated => 16,
            Self::Forbidden | Self::InsufficientScope => 7,
            Self::RateLimited => 8,
            Self::Unavailable => 14,
        }
    }

    /// The members of the problem body that say nothing of the request (RFC 9457 section 3.1), as they stand
    /// in it: `type`, `title` (the status' own phrase), `status` and `detail`.
    pub(crate) const fn problem(self) -> &'static str {
        self.texts().0
    }

    /// The `detail` member, and the message for gRPC callers.
    pub const fn detail(self) -> &'static str {
        self.texts().1
    }

    /// The members of the problem body, and the last of them alone.
    const fn texts(self) -> (&'static str, &'static str) {
        macro_rules! problem {
            ($type:literal, $title:literal, $status:literal, $detail:literal) => {
                (
                    concat!(
                        "\"type\":\"urn:portcullis:problem:",
                        $type,
                        "\",\"title\":\"",
                        $title,
                        "\",\"status\":",
                        $status,
                        ",\"detail\":\"",
                        $detail,
                        "\""
                    ),
                    $detail,
                )
            };
        }
        match self {
            Self::Malformed => problem!(
                "malformed-request",
                "Bad Request",
                400,
                "The request cannot be read in exactly one way."
            ),
            Self::Ambiguous => {
                problem!("ambiguous-credential", "Bad Request", 400, "Send exactly one credential.")
            }
            Self::Unauthenticated => {
                problem!("unauthenticated", "Unauthorized", 401, "A valid credential is required.")
            }
            Self::Forbidden => {
                problem!("forbidden", "Forbidden", 403, "This request is not allowed.")
            }
            Self::InsufficientScope => problem!(
                "insufficient-scope",
                "Forbidden",
                403,
                "The credential lacks a scope that this request needs."
            ),
            Self::RateLimited => {
                problem!("rate-limited", "Too Many Requests", 429, "Too many requests.")
            }
            Self::Unavailable => problem!(
                "unavailable",
                "Service Unavailable",
                503,
                "The gateway cannot decide this request now."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use crate::Denial;

    #[test]
    fn problems_say_their_status() {
        for public in Denial::all().map(Denial::public) {
            let problem = format!("{{{}}}", public.problem());
            let problem: serde_json::Value = serde_json::from_str(&problem).unwrap_or_default();
            assert_eq!(problem["status"], public.status());
            assert_eq!(problem["detail"], public.detail());
        }
    }
}
