//! One connection of HTTP/2 with prior knowledge (RFC 9113), one stream after the other.
//!
//! Of HPACK (RFC 7541) it has what that needs: lines are sent as literals, and of an answer only the
//! status is read, which is its first line.

use std::io::{BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::{HOST, Request};

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// The identifier of the next stream: odd, and greater than all before.
    next: u32,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `SETTINGS_HEADER_TABLE_SIZE` of 0: the peer refers to no line that it sent before.
const NO_TABLE: &[u8] = &[0, 1, 0, 0, 0, 0];
/// As much for the connection as the protocol allows: it never waits for our reading.
const WINDOW: u32 = 0x7fff_ffff - 65_535;

impl Connection {
    pub(crate) fn new(mut stream: TcpStream) -> std::io::Result<Self> {
        stream.write_all(PREFACE)?;
        stream.write_all(&frame(SETTINGS, 0, 0, NO_TABLE))?;
        stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()))?;
        Ok(Self { stream: BufReader::new(stream), next: 1 })
    }

    /// The status of the answer.
    pub(crate) fn exchange(&mut self, request: &Request) -> std::io::Result<u16> {
        let own = self.next;
        self.next = self.next.saturating_add(2);
        self.send(&frame(HEADERS, END_STREAM | END_HEADERS, own, &block(request)))?;
        let mut status = 0;
        loop {
            let (kind, flags, stream, payload) = self.receive()?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, &[]))?,
                PING if flags & ACK == 0 => self.send(&frame(PING, ACK, 0, &payload))?,
                GOAWAY => return Err(Error::from(ErrorKind::ConnectionReset)),
                RST_STREAM if stream == own => return Err(Error::from(ErrorKind::ConnectionReset)),
                // What comes second is trailers.
                HEADERS if stream == own && status == 0 => {
                    status = read_status(&payload).unwrap_or(1);
                }
                _ => {}
            }
            if stream == own && matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return Ok(status);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    fn receive(&mut self) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
        self.stream.read_exact(&mut payload)?;
        Ok((kind, flags, u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]), payload))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a GET.
fn block(request: &Request) -> Vec<u8> {
    const METHOD_GET: u8 = 0x82;
    const SCHEME_HTTP: u8 = 0x86;
    // Literals without indexing: names of the static table, and new ones.
    const AUTHORITY: u8 = 0x01;
    const PATH: u8 = 0x04;
    const NEW_NAME: u8 = 0x00;
    let mut block = vec![METHOD_GET, SCHEME_HTTP, PATH];
    push_text(&mut block, &request.path);
    block.push(AUTHORITY);
    push_text(&mut block, HOST);
    for line in &request.lines {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        block.push(NEW_NAME);
        push_text(&mut block, name);
        push_text(&mut block, value);
    }
    block
}

/// A string without Huffman's code: its length, in seven bits and then in groups of seven, and its bytes.
fn push_text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 0x7f;
    match u8::try_from(text.len()) {
        Ok(short) if text.len() < PREFIX => block.push(short),
        _ => {
            let mut rest = text.len().saturating_sub(PREFIX);
            block.push(0x7f);
            while rest >= 0x80 {
                let [low, ..] = rest.to_le_bytes();
                block.push(low | 0x80);
                rest >>= 7;
            }
            let [low, ..] = rest.to_le_bytes();
            block.push(low);
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// The status, the first line of every answer. `None` for a block in a form that is not known here.
fn read_status(mut block: &[u8]) -> Option<u16> {
    // The size of the table may be told first.
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        // Lines 8 to 14 of the static table.
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500]
            .get(usize::from(index & 0x7f).checked_sub(8)?)
            .copied(),
        // A literal with the name of one of these: indexed, not indexed, never indexed.
        [0x48..=0x4e | 0x08..=0x0e | 0x18..=0x1e, size, value @ ..] => {
            let value = value.get(..usize::from(size & 0x7f))?;
            if size & 0x80 == 0 { str::from_utf8(value).ok()?.parse().ok() } else { digits(value) }
        }
        _ => None,
    }
}

/// Three digits in Huffman's code: 0, 1 and 2 have five bits, the others six.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits = bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut left = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
    let mut number = 0_u16;
    for _ in 0..3 {
        let short = bits.checked_shr(left.checked_sub(5)?)? & 0x1f;
        let digit = if short <= 2 {
            left = left.checked_sub(5)?;
            short
        } else {
            left = left.checked_sub(6)?;
            // 3 is 0x19.
            (bits.checked_shr(left)? & 0x3f).checked_sub(0x16)?
        };
        number = number.checked_mul(10)?.checked_add(u16::try_from(digit).ok()?)?;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::read_status;

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(read_status(&[0x88]), Some(200));
        assert_eq!(read_status(&[0x20, 0x8d, 0x00]), Some(404));
        assert_eq!(read_status(b"\x48\x03429"), Some(429));
        // RFC 7541, appendix C.6: 302, and 307 at its place.
        assert_eq!(read_status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        assert_eq!(read_status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), Some(307));
    }
}
