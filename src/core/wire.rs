//! The wire format of protobuf, by its encoding guide: a message as fields, one after the other.

/// Most bytes of a varint (64 bits in groups of 7).
const VARINT_BYTES: usize = 10;

/// Why bytes are no message.
#[derive(Debug)]
pub(crate) struct WireFault(pub(crate) &'static str);

type Read<T> = Result<T, WireFault>;

/// Fills a place that no message fills twice.
pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Read<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(WireFault("a field that stands twice in one message")),
    }
}

/// What is left of a message.
pub(crate) struct Wire<'t>(pub(crate) &'t [u8]);

/// The content of one field, by wire type.
pub(crate) enum Field<'t> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'t [u8]),
    Fixed32,
}

impl<'t> Wire<'t> {
    /// The next field and its number; `None` at the end of the message.
    pub(crate) fn next(&mut self) -> Read<Option<(u64, Field<'t>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(WireFault("a field with the number 0"));
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| CUT_OFF)?;
                Field::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| CUT_OFF)?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed32)?,
            _ => return Err(WireFault("a field of an unknown wire type")),
        };
        Ok(Some((number, field)))
    }

    fn take(&mut self, length: usize) -> Read<&'t [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Read<u64> {
        let mut value = 0_u64;
        for group in 0..VARINT_BYTES {
            let (byte, rest) = self.0.split_first().ok_or(CUT_OFF)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            let shift = u32::try_from(group).unwrap_or(u32::MAX).saturating_mul(7);
            // The tenth group has room for one bit only.
            let shifted = bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits);
            value |= shifted.ok_or(WireFault("a number of more than 64 bits"))?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireFault("a number of more than 64 bits"))
    }
}

const CUT_OFF: WireFault = WireFault("the bytes end within a field");
const OTHER_TYPE: WireFault = WireFault("a field of another wire type than its message says");

impl<'t> Field<'t> {
    pub(crate) fn varint(&self) -> Read<u64> {
        match *self {
            Self::Varint(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(crate) fn fixed64(&self) -> Read<u64> {
        match *self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(crate) fn bytes(&self) -> Read<&'t [u8]> {
        match *self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(crate) fn text(&self) -> Read<&'t str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireFault("a text that is not UTF-8"))
    }
}

/// Appends a number in groups of seven bits.
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Appends a field of bytes, which a text or a message is too. Field numbers are at most 15.
pub(crate) fn push_bytes(out: &mut Vec<u8>, number: u8, content: &[u8]) {
    out.push(number << 3 | 2);
    push_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}
