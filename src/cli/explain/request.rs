//! The request that is asked about, as the filter would see it.

use portcullis_core::Timestamp;

use crate::clock::time;
use crate::exit::Exit;
use crate::read::{Fault, Source, Tree};

/// A request in the words of its author.
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    /// Names in lower case, as Envoy hands them on.
    pub(super) headers: Vec<(String, String)>,
    /// What the upstream answers with.
    pub(super) response_headers: Vec<(String, String)>,
    pub(super) peer: Option<String>,
    pub(super) envoy_route: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) repeat: u32,
}

/// One header line as bytes: name, value.
pub(super) type Line = (Box<[u8]>, Box<[u8]>);

impl Asked {
    /// Reads a request from a file of YAML or JSON.
    pub(super) fn read(file: &str) -> Result<Self, (Exit, String)> {
        let source = Source::open(file).map_err(|fault| match fault {
            Fault::Unreadable(why) => (Exit::Unreadable, format!("`{file}` {why}")),
            Fault::NotParsable(mark, why) => (Exit::Unreadable, format!("{file}:{mark}: {why}")),
        })?;
        let [tree] = source.documents.as_slice() else {
            return Err((Exit::Usage, format!("{file}: not exactly one request")));
        };
        Self::from_tree(tree)
            .map_err(|(at, why)| (Exit::Usage, format!("{file}:{}: {why}", at.mark)))
    }

    fn from_tree(tree: &Tree) -> Result<Self, (&Tree, String)> {
        let mut asked = Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            response_headers: Vec::new(),
            peer: None,
            envoy_route: None,
            at: None,
            repeat: 1,
        };
        if tree.members().is_empty() {
            return Err((tree, "a request is an object such as {method: GET, path: /}".to_owned()));
        }
        for member in tree.members() {
            let value = &member.value;
            let wrong = || (value, format!("`{}` is not written like this", member.name));
            let text = || value.text().map(str::to_owned).ok_or_else(wrong);
            match member.name.as_str() {
                "method" => asked.method = text()?,
                "path" => asked.path = text()?,
                "host" => asked.host = text()?,
                "peer" => asked.peer = Some(text()?),
                "envoy_route" => asked.envoy_route = Some(text()?),
                "at" => asked.at = Some(time(&text()?).map_err(|why| (value, why))?),
                "repeat" => {
                    let repeat = text()?.parse().ok().filter(|n| (1..=1_000_000).contains(n));
                    asked.repeat = repeat.ok_or_else(wrong)?;
                }
                "headers" | "response_headers" => {
                    let of_request = member.name == "headers";
                    for line in value.items() {
                        let line_text = line.text().ok_or_else(wrong)?;
                        let line = header(line_text).map_err(|why| (line, why))?;
                        if of_request { &mut asked.headers } else { &mut asked.response_headers }
                            .push(line);
                    }
                    if value.items().is_empty() {
                        let why = format!("`{}` is a list of `name: value`", member.name);
                        return Err((value, why));
                    }
                }
                _ => {
                    let fields = "method, path, host, headers, peer, envoy_route, at, repeat, response_headers";
                    return Err((value, format!("a request has the fields {fields}")));
                }
            }
        }
        Ok(asked)
    }

    /// The header lines, pseudo headers first. Envoy appends the peer to `x-forwarded-for`.
    pub(super) fn lines(&self) -> Vec<Line> {
        let pseudo = [(":method", &self.method), (":path", &self.path), (":authority", &self.host)];
        let mut lines: Vec<_> = pseudo.into_iter().map(|(name, value)| line(name, value)).collect();
        lines.extend(lines_of(&self.headers));
        let address = self.peer.as_deref().and_then(|peer| Some(peer.rsplit_once(':')?.0));
        let address = address.map(|text| text.trim_start_matches('[').trim_end_matches(']'));
        lines.extend(address.map(|address| line("x-forwarded-for", address)));
        lines
    }
}

/// Header lines as bytes.
pub(super) fn lines_of(headers: &[(String, String)]) -> impl Iterator<Item = Line> {
    headers.iter().map(|(name, value)| line(name, value))
}

fn line(name: &str, value: &str) -> Line {
    (name.as_bytes().into(), value.as_bytes().into())
}

/// `name: value`. The message does not repeat the line, which may hold a key.
pub(super) fn header(line: &str) -> Result<(String, String), String> {
    // A pseudo header's name begins with a colon.
    let colon = line.char_indices().skip(1).find(|(_, c)| *c == ':').map(|(at, _)| at);
    let (name, value) = colon
        .and_then(|at| line.split_at_checked(at))
        .ok_or_else(|| "a header is written as `name: value`".to_owned())?;
    let value = value.strip_prefix(':').unwrap_or(value).trim();
    Ok((name.trim().to_ascii_lowercase(), value.to_owned()))
}
