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

    /// The `type` member of the problem body (RFC 9457 section 3.1.1).
    pub const fn problem_type(self) -> &'static str {
        match self {
            Self::Malformed => "urn:portcullis:problem:malformed-request",
            Self::Ambiguous => "urn:portcullis:problem:ambiguous-credential",
            Self::Unauthenticated => "urn:portcullis:problem:unauthenticated",
            Self::Forbidden => "urn:portcullis:problem:forbidden",
            Self::InsufficientScope => "urn:portcullis:problem:insufficient-scope",
            Self::RateLimited => "urn:portcullis:problem:rate-limited",
            Self::Unavailable => "urn:portcullis:problem:unavailable",
        }
    }

    /// The `title` member: the status' own phrase.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed | Self::Ambiguous => "Bad Request",
            Self::Unauthenticated => "Unauthorized",
            Self::Forbidden | Self::InsufficientScope => "Forbidden",
            Self::RateLimited => "Too Many Requests",
            Self::Unavailable => "Service Unavailable",
        }
    }

    /// The `detail` member, and the message for gRPC callers.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "The request cannot be read in exactly one way.",
            Self::Ambiguous => "Send exactly one credential.",
            Self::Unauthenticated => "A valid credential is required.",
            Self::Forbidden => "This request is not allowed.",
            Self::InsufficientScope => "The credential lacks a scope that this request needs.",
            Self::RateLimited => "Too many requests.",
            Self::Unavailable => "The gateway cannot decide this request now.",
        }
    }
}
