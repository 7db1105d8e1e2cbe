//! A key set as it was fetched: the record that holds it, and what is needed to ask for a newer one.

use portcullis_core::{MAX_SET, digest};

use super::state::DataId;

/// Longest path that a discovery document may lead to, and longest `ETag` that is kept, in bytes.
pub(super) const MAX_PATH: usize = 1_024;
pub(super) const MAX_ETAG: usize = 256;

/// A set's text, and where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Data<'d> {
    /// Where discovery found it; empty where the policy says so.
    pub(super) path: &'d str,
    /// What the issuer calls this state of it; empty for nothing.
    pub(super) etag: &'d str,
    /// The JSON text.
    pub(super) body: &'d [u8],
}

impl<'d> Data<'d> {
    /// The record: its digest, two lengths, then the texts.
    pub(super) fn encode(&self) -> (DataId, Vec<u8>) {
        let mut bytes = vec![0; size_of::<DataId>()];
        for text in [self.path, self.etag] {
            bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
        }
        for text in [self.path.as_bytes(), self.etag.as_bytes(), self.body] {
            bytes.extend_from_slice(text);
        }
        let id = bytes.get(size_of::<DataId>()..).map(id_of).unwrap_or_default();
        if let Some(place) = bytes.first_chunk_mut() {
            *place = id;
        }
        (id, bytes)
    }

    /// Reads the record that `id` names. `None`: it is another one, or damaged.
    pub(super) fn decode(bytes: &'d [u8], id: &DataId) -> Option<Self> {
        let (held, rest) = bytes.split_first_chunk()?;
        if held != id || rest.len() > MAX_SET.saturating_add(MAX_PATH + MAX_ETAG + 4) {
            return None;
        }
        if id_of(rest) != *id {
            return None;
        }
        let (path, rest) = rest.split_first_chunk()?;
        let (etag, rest) = rest.split_first_chunk()?;
        let (path, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*path)))?;
        let (etag, body) = rest.split_at_checked(usize::from(u16::from_le_bytes(*etag)))?;
        let data = Self { path: visible(path)?, etag: visible(etag)?, body };
        let sound = data.path.len() <= MAX_PATH
            && (data.path.is_empty() || data.path.starts_with('/'))
            && data.etag.len() <= MAX_ETAG;
        sound.then_some(data)
    }
}

fn id_of(bytes: &[u8]) -> DataId {
    digest(bytes).first_chunk().copied().unwrap_or_default()
}

/// Text that can stand in a header line: visible ASCII without spaces.
pub(super) fn visible(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    text.bytes().all(|byte| byte.is_ascii_graphic()).then_some(text)
}
