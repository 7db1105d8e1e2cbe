//! Times and lengths of time on the command line.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::Timestamp;

/// A time of the policy language.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "a time is written as 2027-01-31T00:00:00Z (RFC 3339)".to_owned())
}

/// The system's time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
