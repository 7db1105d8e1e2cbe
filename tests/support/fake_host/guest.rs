//! The module's memory as Envoy reads and writes it.

use wasmi::{AsContext, AsContextMut, Caller, Error, Memory};

use super::host::{Host, Pair};

/// A call from the module, with access to its memory.
pub(super) struct Guest<'c> {
    pub(super) caller: Caller<'c, Host>,
    memory: Memory,
}

impl<'c> Guest<'c> {
    pub(super) fn new(caller: Caller<'c, Host>) -> Result<Self, Error> {
        let memory = caller
            .get_export("memory")
            .and_then(wasmi::Extern::into_memory)
            .ok_or_else(|| Error::new("the module exports no memory"))?;
        Ok(Self { caller, memory })
    }

    pub(super) fn host(&mut self) -> &mut Host {
        self.caller.data_mut()
    }

    /// A copy of the module's bytes, `None` outside of its memory.
    pub(super) fn read(&self, start: u32, size: u32) -> Option<Vec<u8>> {
        let (start, size) = (start as usize, size as usize);
        self.memory
            .data(self.caller.as_context())
            .get(start..start.checked_add(size)?)
            .map(<[u8]>::to_vec)
    }

    pub(super) fn text(&self, start: u32, size: u32) -> Option<String> {
        self.read(start, size).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn write(&mut self, start: u32, bytes: &[u8]) -> bool {
        self.memory.write(self.caller.as_context_mut(), start as usize, bytes).is_ok()
    }

    /// Gives the module a copy of `bytes` in memory that it allocates itself, as the host does for
    /// every value. Status 6 (invalid memory access) if it has none.
    pub(super) fn hand_over(&mut self, bytes: &[u8], to: u32, size_to: u32) -> Result<u32, Error> {
        const INVALID_MEMORY_ACCESS: u32 = 6;
        let mut start = 0;
        let size = u32::try_from(bytes.len()).map_err(|_| Error::new("a value over 4 GiB"))?;
        if size > 0 {
            start = self.allocate(size)?;
            if start == 0 || !self.write(start, bytes) {
                return Ok(INVALID_MEMORY_ACCESS);
            }
        }
        let written =
            self.write(to, &start.to_le_bytes()) && self.write(size_to, &size.to_le_bytes());
        Ok(if written { 0 } else { INVALID_MEMORY_ACCESS })
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Error> {
        // The host takes an exported `malloc` before the ABI's own name.
        let name = ["malloc", "proxy_on_memory_allocate"];
        let function = name
            .iter()
            .find_map(|name| self.caller.get_export(name)?.into_func())
            .ok_or_else(|| Error::new("the module cannot allocate"))?;
        let function = function.typed::<u32, u32>(self.caller.as_context())?;
        self.host().allocating = true;
        let start = function.call(self.caller.as_context_mut(), size);
        self.host().allocating = false;
        start
    }
}

/// Header lines as the ABI serializes them.
pub(super) fn serialize(pairs: &[Pair]) -> Vec<u8> {
    let mut bytes = length(pairs.len()).to_vec();
    for (name, value) in pairs {
        bytes.extend(length(name.len()));
        bytes.extend(length(value.len()));
    }
    for (name, value) in pairs {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a header under 4 GiB").to_le_bytes()
}

/// The reverse of [`serialize`]. Envoy reads a block that is too short as no pairs; a length that
/// leads out of the block would be undefined behaviour there and is an error here.
pub(super) fn deserialize(bytes: &[u8]) -> Result<Vec<Pair>, Error> {
    const LIMIT: usize = 1024;
    let wrong = || Error::new("malformed pairs from the module");
    let word = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    };
    let Some(count) = word(0) else { return Ok(Vec::new()) };
    if count > LIMIT {
        return Err(wrong());
    }
    let mut at = 4 + count * 8;
    let mut take = |size: usize| {
        let taken = bytes.get(at..at + size).map(<[u8]>::to_vec);
        at += size + 1;
        taken
    };
    (0..count)
        .map(|index| {
            let name = take(word(4 + index * 8).ok_or_else(wrong)?).ok_or_else(wrong)?;
            let value = take(word(8 + index * 8).ok_or_else(wrong)?).ok_or_else(wrong)?;
            Ok((name, value))
        })
        .collect()
}
