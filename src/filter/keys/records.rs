//! Where records live: in Envoy's shared data, or in this VM alone.
//!
//! Shared data belongs to a `vm_id`. Where that is empty, every other plugin without one may write
//! there, and a key set from there would be a stranger's word for who may sign. So then each worker
//! fetches for itself, unless the policy says that it may share.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use crate::abi::{self, HostFault, Inbox};
use crate::metrics::Mixer;

/// A record's key: a prefix with the version of the format, what it is, and the source's digest.
pub(super) type Key = [u8; 21];

const PREFIX: [u8; 4] = *b"pk1/";

/// The two records of a source.
#[derive(Clone, Copy)]
pub(super) enum Record {
    State = b's' as isize,
    Data = b'd' as isize,
}

impl Record {
    /// The key of a source's record.
    pub(super) fn key(self, source: &[u8; 16]) -> Key {
        let mut key = [0; size_of::<Key>()];
        let bytes = PREFIX.into_iter().chain([self as u8]).chain(*source);
        for (place, byte) in key.iter_mut().zip(bytes) {
            *place = byte;
        }
        key
    }
}

/// Records of this VM alone, with the rules of the host's: every write makes a new version.
#[derive(Default)]
pub(crate) struct Own {
    records: HashMap<Key, (Vec<u8>, u32), BuildHasherDefault<Mixer>>,
    version: u32,
}

/// A record and its version.
type Versioned<'m> = (Cow<'m, [u8]>, u32);

/// Where a generation keeps its records.
#[derive(Clone)]
pub(crate) enum Records {
    Shared,
    Own(Rc<RefCell<Own>>),
}

impl Records {
    /// A record and its version; `None` where there is none.
    pub(super) fn read<'m>(
        &self,
        inbox: &'m Inbox,
        key: &Key,
    ) -> Result<Option<Versioned<'m>>, HostFault> {
        match self {
            Self::Shared => {
                let held = abi::shared(inbox, key)?;
                Ok(held.map(|(bytes, version)| (Cow::Borrowed(bytes), version)))
            }
            Self::Own(own) => {
                let held = own.try_borrow().ok().and_then(|own| own.records.get(key).cloned());
                Ok(held.map(|(bytes, version)| (Cow::Owned(bytes), version)))
            }
        }
    }

    /// Writes a record if it still has this version; version 0 writes it in any case. False: somebody
    /// else was faster.
    pub(super) fn write(&self, key: &Key, bytes: &[u8], version: u32) -> Result<bool, HostFault> {
        match self {
            Self::Shared => abi::set_shared(key, bytes, version),
            Self::Own(own) => {
                Ok(own.try_borrow_mut().is_ok_and(|mut own| own.write(key, bytes, version)))
            }
        }
    }
}

impl Own {
    fn write(&mut self, key: &Key, bytes: &[u8], version: u32) -> bool {
        let held = self.records.get(key).map(|(_, held)| *held);
        if version != 0 && held.is_some_and(|held| held != version) {
            return false;
        }
        self.version = self.version.wrapping_add(1).max(1);
        self.records.insert(*key, (bytes.to_vec(), self.version));
        true
    }
}
