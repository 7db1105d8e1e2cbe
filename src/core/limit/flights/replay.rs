//! Operations in single calls: one is run again from its start for each call that it makes, with the answers
//! that it got before, so that others can make theirs between any two of them.

use super::*;

/// The version of a value as it is, and of one that was replaced since it was read.
pub(super) const CURRENT: u32 = 1;
pub(super) const REPLACED: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Enter,
    Leave,
    Tick,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Read(Shared),
    Swap(Shared, Vec<u8>, u32),
    Clock,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Value(Shared, Vec<u8>, u32),
    Swapped(bool),
    Time(u64),
    Fault,
}

/// Gives the answers that there are. The first call that has none is noted.
pub(super) struct Replay<'a> {
    pub(super) answers: std::slice::Iter<'a, Answer>,
    pub(super) wanted: Option<Call>,
}

impl Replay<'_> {
    fn answer(&mut self, call: Call) -> Result<Answer, StoreFault> {
        match self.answers.next() {
            Some(Answer::Fault) => Err(StoreFault),
            Some(answer) => Ok(answer.clone()),
            None => {
                self.wanted.get_or_insert(call);
                Err(StoreFault)
            }
        }
    }
}

impl SharedValues for Replay<'_> {
    fn read(&mut self, at: Shared, into: &mut Vec<u8>) -> Result<u32, StoreFault> {
        let Answer::Value(_, bytes, version) = self.answer(Call::Read(at))? else { panic!() };
        *into = bytes;
        Ok(version)
    }

    fn swap(&mut self, at: Shared, value: &[u8], version: u32) -> Result<bool, StoreFault> {
        let call = Call::Swap(at, value.to_vec(), version);
        let Answer::Swapped(swapped) = self.answer(call)? else { panic!() };
        Ok(swapped)
    }

    fn clock(&mut self) -> Result<u64, StoreFault> {
        let Answer::Time(time) = self.answer(Call::Clock)? else { panic!() };
        Ok(time)
    }

    fn reset(&mut self) {
        panic!("nobody writes what nobody can read");
    }
}
