//! Where the fetching of one key set stands: a small record that all workers read, and swap.

use portcullis_core::Timestamp;

/// Bytes of a record.
pub(super) const STATE: usize = 64;

/// By how much the clocks of two threads may seem to differ: one may stand still between looking at the
/// clock and reading what another wrote meanwhile. In nanoseconds.
const SKEW: u64 = 1_000_000_000;
/// Longer than any lease and any time between two fetches that a policy can ask for: two days. What
/// lies further ahead was not written by this code, or the clock was set back.
const FAR: u64 = 2 * 86_400 * 1_000_000_000;

/// Which DATA record a set is in: a digest of it.
pub(super) type DataId = [u8; 16];

/// The record. Times that never were are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Until when a fetch is under way; in the past when none is. Whoever began it may be dead, so
    /// it ends by itself.
    pub(super) lease: Timestamp,
    /// When the last fetch began.
    pub(super) begun: Timestamp,
    /// When the last fetch that came to an end began.
    pub(super) completed: Timestamp,
    /// When the last fetch that succeeded began: the set is as old as that.
    pub(super) fetched: Timestamp,
    /// When the set is to be fetched anew.
    pub(super) next: Timestamp,
    /// The set; all zeros where there is none.
    pub(super) data: DataId,
    pub(super) result: FetchResult,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FetchResult {
    /// None has ended yet.
    #[default]
    None,
    /// There is a new set.
    Updated,
    /// The set is as it was.
    Unchanged,
    /// No answer: the cluster is not there, the connection broke, or time was up.
    Unreachable,
    /// An answer with another status than 200, or 304 to nothing.
    Status,
    /// An answer that is too long.
    TooLong,
    /// An answer in a content coding that nobody asked for.
    Encoding,
    /// The discovery document says nothing usable, or is another issuer's.
    Discovery,
    /// The discovery document leads to another authority.
    Elsewhere,
    /// No JSON object with a list of keys.
    NotASet,
    /// A set, and no key of it can be used.
    NoUsableKey,
}

impl FetchResult {
    const ALL: [Self; 11] = [
        Self::None,
        Self::Updated,
        Self::Unchanged,
        Self::Unreachable,
        Self::Status,
        Self::TooLong,
        Self::Encoding,
        Self::Discovery,
        Self::Elsewhere,
        Self::NotASet,
        Self::NoUsableKey,
    ];

    /// Whether it left a good set.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Updated | Self::Unchanged)
    }

    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::TooLong => "too_long",
            Self::Encoding => "encoding",
            Self::Discovery => "discovery",
            Self::Elsewhere => "elsewhere",
            Self::NotASet => "not_a_set",
            Self::NoUsableKey => "no_usable_key",
        }
    }

    /// What happened, for the log.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::None => "nothing was fetched yet",
            Self::Updated => "a new set was fetched",
            Self::Unchanged => "the set is unchanged",
            Self::Unreachable => "the cluster gives no answer in time",
            Self::Status => "the answer's status is not 200",
            Self::TooLong => "the answer is too long",
            Self::Encoding => "the answer is compressed, which was not asked for",
            Self::Discovery => {
                "the discovery document is none, or its `issuer` is not that of the policy"
            }
            Self::Elsewhere => {
                "the `jwks_uri` of the discovery document is on another authority; name the \
                 cluster, `authority` and `path` of the set instead of `discovery`"
            }
            Self::NotASet => "the answer is no JSON object with a list `keys`",
            Self::NoUsableKey => "no key of the set can be used",
        }
    }
}

impl State {
    /// The record as bytes.
    pub(super) fn encode(&self) -> [u8; STATE] {
        let mut bytes = [0; STATE];
        let times = [self.lease, self.begun, self.completed, self.fetched, self.next];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (word, time) in words.iter_mut().zip(times) {
            *word = time.unix_nanos().to_le_bytes();
        }
        if let Some((_, rest)) = bytes.split_at_mut_checked(size_of_val(&times)) {
            for (byte, held) in
                rest.iter_mut().zip(self.data.into_iter().chain([self.result as u8]))
            {
                *byte = held;
            }
        }
        bytes
    }

    /// Reads a record that anybody may have written. `None`: this code has not, or not under this
    /// clock.
    pub(super) fn decode(bytes: &[u8], now: Timestamp) -> Option<Self> {
        let bytes: &[u8; STATE] = bytes.try_into().ok()?;
        let (times, rest) = bytes.split_first_chunk::<40>()?;
        let (data, rest) = rest.split_first_chunk()?;
        let (result, _) = rest.split_first()?;
        let (words, _) = times.as_chunks::<8>();
        let [lease, begun, completed, fetched, next] = words else { return None };
        let time = |word: &[u8; 8]| Timestamp::from_unix_nanos(u64::from_le_bytes(*word));
        let state = Self {
            lease: time(lease),
            begun: time(begun),
            completed: time(completed),
            fetched: time(fetched),
            next: time(next),
            data: *data,
            result: *FetchResult::ALL.get(usize::from(*result))?,
        };
        let far = now.saturating_add(FAR);
        let sound = state.begun <= now.saturating_add(SKEW)
            && state.completed <= state.begun
            && state.fetched <= state.completed
            && state.lease <= far
            && state.next <= far;
        sound.then_some(state)
    }
}
