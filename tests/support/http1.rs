//! A raw HTTP/1.1 client: it sends any byte, also those that a proper client refuses to send.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response as it came over the wire, names in lower case.
#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// One connection to a server.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// A connection that says by PROXY protocol version 1 that it comes from `peer`.
    pub fn connect_as(address: SocketAddr, peer: Option<SocketAddr>) -> std::io::Result<Self> {
        let mut client = Self::connect(address)?;
        let (port, local) = (address.port(), address.ip());
        let line = match peer {
            Some(SocketAddr::V4(peer)) => {
                format!("PROXY TCP4 {} {local} {} {port}\r\n", peer.ip(), peer.port())
            }
            Some(SocketAddr::V6(peer)) => {
                format!("PROXY TCP6 {} ::1 {} {port}\r\n", peer.ip(), peer.port())
            }
            None => "PROXY UNKNOWN\r\n".to_owned(),
        };
        client.write(line.as_bytes())?;
        Ok(client)
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one request and reads the final response to it.
    pub fn exchange(&mut self, request: &[u8]) -> std::io::Result<Response> {
        // A server that refuses in the middle of a long request has answered all the same.
        let sent = self.write(request);
        let head = request.starts_with(b"HEAD ");
        match self.response(head) {
            Ok(response) => Ok(response),
            Err(fault) => sent.and(Err(fault)),
        }
    }

    /// Reads one response; informational ones are skipped.
    pub fn response(&mut self, head: bool) -> std::io::Result<Response> {
        loop {
            let mut response = self.response_head()?;
            if response.status >= 200 || response.status == 101 {
                if !head && !matches!(response.status, 101 | 204 | 304) {
                    response.body = self.body(&response.headers)?;
                }
                return Ok(response);
            }
        }
    }

    /// Reads the head of the next response, which may be an informational one.
    pub fn response_head(&mut self) -> std::io::Result<Response> {
        let line = self.line()?;
        let status = std::str::from_utf8(line.get(9..12).unwrap_or_default())
            .ok()
            .and_then(|s| s.parse().ok());
        let status =
            status.ok_or_else(|| std::io::Error::other(format!("no status in {line:?}")))?;
        Ok(Response { status, headers: read_headers(&mut self.stream)?, body: Vec::new() })
    }

    fn line(&mut self) -> std::io::Result<Vec<u8>> {
        read_line(&mut self.stream)
    }

    fn body(&mut self, headers: &[(Vec<u8>, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing(headers) {
            Framing::Length(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body)?;
            }
            Framing::Chunked => body = read_chunked(&mut self.stream)?.0,
            Framing::None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }
}

/// How the end of a message's body is known.
pub enum Framing {
    Length(usize),
    Chunked,
    None,
}

pub fn framing(headers: &[(Vec<u8>, Vec<u8>)]) -> Framing {
    let find = |name: &[u8]| headers.iter().find(|(line, _)| line == name).map(|(_, value)| value);
    if find(b"transfer-encoding").is_some_and(|value| value.ends_with(b"chunked")) {
        return Framing::Chunked;
    }
    let length =
        find(b"content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    length.map_or(Framing::None, Framing::Length)
}

/// One line without its line end.
pub fn read_line(stream: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Header or trailer lines up to the empty one, names in lower case.
pub fn read_headers(stream: &mut impl BufRead) -> std::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        headers.push((line[..colon].to_ascii_lowercase(), value.to_vec()));
    }
}

/// A chunked body and its trailers.
#[expect(clippy::type_complexity, reason = "a body and header lines, as everywhere here")]
pub fn read_chunked(
    stream: &mut impl BufRead,
) -> std::io::Result<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size =
            size.ok_or_else(|| std::io::Error::other(format!("no chunk size in {line:?}")))?;
        if size == 0 {
            return Ok((body, read_headers(stream)?));
        }
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        read_line(stream)?;
    }
}
