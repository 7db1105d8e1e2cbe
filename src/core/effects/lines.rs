//! Header lines of a response, in one piece of memory.

use crate::few::Few;

/// Names and values of header lines, in their order.
#[derive(Debug, Default)]
pub struct Lines {
    /// Each name and each value with a zero byte behind it.
    texts: Vec<u8>,
    /// The lengths of both, without their zero bytes.
    lengths: Few<(u32, u32), 4>,
}

impl Lines {
    /// Makes room for lines of so many bytes, so that writing them moves nothing.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.texts.reserve(bytes);
    }

    /// Adds a line.
    pub fn add(&mut self, name: &str, value: &str) {
        self.write(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// Adds a line whose value is written in place.
    #[inline]
    pub(crate) fn write(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.begin(name);
        value(&mut self.texts);
        let length = self.texts.len().saturating_sub(start);
        self.texts.push(0);
        self.lengths.push((length_of(name.len()), length_of(length)));
    }

    /// Writes a name, and says where its value begins.
    #[inline(never)]
    fn begin(&mut self, name: &str) -> usize {
        self.texts.extend_from_slice(name.as_bytes());
        self.texts.push(0);
        self.texts.len()
    }

    /// The lines: names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &*self.texts;
        let mut text = move |length: u32| {
            let (text, behind) = rest.split_at_checked(length as usize)?;
            rest = behind.get(1..)?;
            Some(text)
        };
        self.lengths().map_while(move |(name, value)| Some((text(name)?, text(value)?)))
    }

    /// The lengths of each name and value, in bytes.
    pub fn lengths(&self) -> impl Iterator<Item = (u32, u32)> {
        self.lengths.iter().copied()
    }

    /// Each name and each value with a zero byte behind it.
    pub fn texts(&self) -> &[u8] {
        &self.texts
    }
}

fn length_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lines_are_what_was_added() {
        let mut lines = Lines::default();
        assert_eq!(lines.iter().count(), 0);
        for number in 0..6_u8 {
            lines.write("a-name", |out| out.extend(std::iter::repeat_n(b'x', number.into())));
        }
        lines.add("b", "y");
        let found: Vec<_> = lines.iter().map(|(name, value)| (name.len(), value.len())).collect();
        assert_eq!(found, [(6, 0), (6, 1), (6, 2), (6, 3), (6, 4), (6, 5), (1, 1)]);
        let added = lines.lengths().map(|(name, value)| name + value + 2).sum::<u32>();
        assert_eq!(usize::try_from(added), Ok(lines.texts().len()));
    }
}
