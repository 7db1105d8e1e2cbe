//! An upstream that remembers what it saw, by request id, and answers 200 to everything: at once, or when a
//! test lets go what it holds. What a request has in lines `x-answer` are lines of its answer.

use crate::expect::Arrived;
use crate::http1::{Framing, framing, read_chunked, read_headers, read_line};
use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The running upstream; its threads end with the process.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<HashMap<Vec<u8>, Arrived>>>,
    held: Arc<(Mutex<Held>, Condvar)>,
}

/// Requests for `/held` and below.
#[derive(Default)]
struct Held {
    waiting: usize,
    /// How often they were let go.
    releases: usize,
}

/// Nothing is held for longer.
const LONGEST: Duration = Duration::from_mins(2);

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the address of a bound socket");
        let upstream = Self { address, seen: Arc::default(), held: Arc::default() };
        let serving = upstream.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || {
                    let _ = serving.serve(stream);
                });
            }
        });
        upstream
    }

    /// What arrived with that request id, if anything did. It is forgotten here.
    pub fn take(&self, request_id: &str) -> Option<Arrived> {
        self.seen.lock().expect("no thread panics with the lock").remove(request_id.as_bytes())
    }

    /// How many requests are held.
    pub fn held(&self) -> usize {
        self.held.0.lock().expect("no thread panics with the lock").waiting
    }

    /// Lets all requests go that are held.
    pub fn release(&self) {
        self.held.0.lock().expect("no thread panics with the lock").releases += 1;
        self.held.1.notify_all();
    }

    fn hold(&self) {
        let (lock, changed) = &*self.held;
        let mut held = lock.lock().expect("no thread panics with the lock");
        held.waiting += 1;
        let releases = held.releases;
        let is_held = |held: &mut Held| held.releases == releases;
        let (mut held, _) = changed
            .wait_timeout_while(held, LONGEST, is_held)
            .expect("no thread panics with the lock");
        held.waiting -= 1;
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        loop {
            let line = read_line(&mut stream)?;
            let mut parts = line.splitn(2, |byte| *byte == b' ');
            let method = parts.next().unwrap_or_default().to_vec();
            let target = parts.next().unwrap_or_default();
            let path = target.strip_suffix(b" HTTP/1.1").unwrap_or(target).to_vec();
            let headers = read_headers(&mut stream)?;
            let mut trailers = Vec::new();
            match framing(&headers) {
                Framing::Length(length) => {
                    stream.read_exact(&mut vec![0; length])?;
                }
                Framing::Chunked => trailers = read_chunked(&mut stream)?.1,
                Framing::None => {}
            }
            let told = headers.iter().filter(|(name, _)| name == b"x-answer");
            let told = told.flat_map(|(_, line)| [line, &b"\r\n"[..]].concat()).collect::<Vec<_>>();
            let is_held = path.starts_with(b"/held");
            let id =
                headers.iter().find(|(name, _)| name == b"x-request-id").map(|(_, id)| id.clone());
            if let Some(id) = id.filter(|id| id.starts_with(b"case-")) {
                let arrived = Arrived { method: method.clone(), path, headers, trailers };
                self.seen.lock().expect("no thread panics with the lock").insert(id, arrived);
            }
            if is_held {
                self.hold();
            }
            let body: &[u8] = if method == b"HEAD" { b"" } else { b"ok\n" };
            let answer =
                [b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n", &told[..], b"\r\n", body].concat();
            stream.get_mut().write_all(&answer)?;
        }
    }
}
