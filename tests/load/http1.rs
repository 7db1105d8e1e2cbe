//! One connection of HTTP/1.1.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::{HOST, Request};

pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The status of the answer, and whether the connection stays open.
    pub(crate) fn exchange(&mut self, request: &Request) -> std::io::Result<(u16, bool)> {
        let Self(stream) = self;
        let mut text = format!("GET {} HTTP/1.1\r\nhost: {HOST}\r\n", request.path);
        for line in &request.lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        stream.get_mut().write_all(text.as_bytes())?;
        let (mut status, mut length, mut stays) = (0, 0_u64, true);
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
            let text = line.trim_end().to_ascii_lowercase();
            if status == 0 {
                status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(1);
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            } else if text == "connection: close" {
                stays = false;
            } else if text.is_empty() {
                break;
            }
        }
        std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
        Ok((status, stays))
    }
}
