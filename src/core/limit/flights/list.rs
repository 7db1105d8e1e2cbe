//! Lists of records as their bytes: two words each, little-endian.

/// Bytes of a record.
const RECORD: usize = 16;

/// The bits of a count; the others of its word are the VM.
const COUNT: u32 = u16::BITS;

/// A VM's name: 48 bits of these, never none.
pub(super) const fn vm(random: u64) -> u64 {
    let vm = random >> COUNT;
    if vm == 0 { 1 } else { vm }
}

/// A line of the roster is a VM and when it was heard of, a line of a set is a tag and a VM with its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Record(u64, u64);

impl Record {
    pub(super) const fn heard(vm: u64, at: u64) -> Self {
        Self(vm, at)
    }

    pub(super) fn counted(tag: u64, vm: u64, count: u16) -> Self {
        Self(tag, vm << COUNT | u64::from(count))
    }

    /// A VM of the roster, or the tag of a set.
    pub(super) const fn name(self) -> u64 {
        self.0
    }

    /// When a VM of the roster was heard of.
    pub(super) const fn heard_at(self) -> u64 {
        self.1
    }

    /// Whose count it is.
    pub(super) const fn vm(self) -> u64 {
        self.1 >> COUNT
    }

    pub(super) const fn count(self) -> u16 {
        let [low, high, ..] = self.1.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(super) const fn is_of(self, tag: u64, vm: u64) -> bool {
        self.0 == tag && self.vm() == vm
    }
}

/// A list as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct List(pub(super) Vec<Record>);

impl List {
    /// Reads a value that anybody may have written. False: it is no such list, and counts as empty.
    pub(super) fn read(&mut self, bytes: &[u8], most: usize) -> bool {
        self.0.clear();
        let (records, rest) = bytes.as_chunks::<RECORD>();
        let is_sound = rest.is_empty() && records.len() <= most;
        if is_sound {
            self.0.extend(records.iter().map(|record| match record.as_chunks().0 {
                [one, two] => Record(u64::from_le_bytes(*one), u64::from_le_bytes(*two)),
                _ => Record(0, 0),
            }));
        }
        is_sound
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        for Record(one, two) in &self.0 {
            bytes.extend_from_slice(&one.to_le_bytes());
            bytes.extend_from_slice(&two.to_le_bytes());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Record> {
        self.0.iter().copied()
    }

    /// Keeps what is wanted; false if that is not all.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(Record) -> bool) -> bool {
        let before = self.len();
        self.0.retain(|record| is_wanted(*record));
        self.len() == before
    }

    /// Adds a record; false if there is no room.
    pub(super) fn push(&mut self, record: Record, most: usize) -> bool {
        let has_room = self.len() < most;
        if has_room {
            self.0.push(record);
        }
        has_room
    }
}
