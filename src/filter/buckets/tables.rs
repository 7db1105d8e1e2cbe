//! The tables in shared data: their keys, and the bytes of a set.

use portcullis_core::Timestamp;

/// Sets of the table for keys that there can be any number of, of the one for all others, and of the
/// overflow table for newcomers without a place.
const ADDRESS_SETS: u16 = 16_384;
const CALLER_SETS: u16 = 8_192;
const OVERFLOW_SETS: u16 = 64;
/// Entries of a set, read and swapped together.
const WAYS: usize = 4;
/// An entry: tag and arrival, 8 bytes each, little-endian.
pub(super) const ENTRY: usize = 16;
pub(super) const SET: usize = WAYS * ENTRY;

/// The longest that a bucket can take to fill is 366 days; an arrival further ahead than this was
/// not written by a limit.
const FAR: u64 = 400 * 86_400 * 1_000_000_000;

/// The tables, apart by their keys.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Addresses,
    Callers,
    Overflow,
}

impl Table {
    pub(super) const fn sets(self) -> u16 {
        match self {
            Self::Addresses => ADDRESS_SETS,
            Self::Callers => CALLER_SETS,
            Self::Overflow => OVERFLOW_SETS,
        }
    }

    /// The key of a set: short enough for the host to keep it without another allocation.
    pub(super) const fn key(self, set: u16) -> [u8; 7] {
        let [low, high] = set.to_le_bytes();
        let table = match self {
            Self::Addresses => b'b',
            Self::Callers => b'c',
            Self::Overflow => b'o',
        };
        [b'p', b'c', b'2', b'/', table, low, high]
    }
}

/// An entry as tag and arrival.
pub(super) fn parts(entry: &[u8; ENTRY]) -> (u64, u64) {
    match entry.as_chunks().0 {
        [tag, arrival] => (u64::from_le_bytes(*tag), u64::from_le_bytes(*arrival)),
        _ => (0, 0),
    }
}

pub(super) fn bytes_of(tag: u64, arrival: u64) -> [u8; ENTRY] {
    (u128::from(arrival) << 64 | u128::from(tag)).to_le_bytes()
}

/// Copies a set as it can be used, and says whether all of it was sound. Other plugins may write
/// here: a value of another length counts as empty, an impossible arrival as a full bucket.
pub(super) fn read_set(bytes: &[u8], now: Timestamp, set: &mut [u8; SET]) -> bool {
    let Ok(bytes) = <&[u8; SET]>::try_from(bytes) else { return false };
    *set = *bytes;
    let limit = now.unix_nanos().saturating_add(FAR);
    let mut sound = true;
    for entry in set.as_chunks_mut::<ENTRY>().0 {
        if parts(entry).1 > limit {
            *entry = [0; ENTRY];
            sound = false;
        }
    }
    sound
}
