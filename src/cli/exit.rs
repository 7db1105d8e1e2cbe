//! What the exit code says: 0 is success, 2 (from the argument parser) a wrong command line.

/// How a sub-command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No errors; of `explain`, the request is allowed.
    Success = 0,
    /// A policy, or how it is deployed, has errors.
    PolicyErrors = 1,
    /// The command line, or what was given on the standard input, cannot be used.
    Usage = 2,
    /// A file cannot be read or parsed.
    Unreadable = 3,
    /// Of `explain`: the request is refused.
    Refused = 4,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
