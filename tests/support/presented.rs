//! A request as Envoy presents it to a filter: what the runners without an Envoy hand over.

use crate::case::{Listener, Request};
use crate::template;
use std::net::{IpAddr, SocketAddr};

/// Headers as bytes in Envoy's order, and the properties that a filter may ask for.
pub struct Presented {
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub source_address: Option<Vec<u8>>,
    pub route_name: Option<Vec<u8>>,
}

/// What Envoy would show of this request, with its own `x-forwarded-for` and `x-request-id` written.
pub fn presented(request: &Request, listener: &Listener, request_id: &str) -> Presented {
    let mut headers = Vec::new();
    if let Some(host) = &request.host {
        headers.push((b":authority".to_vec(), template::bytes(host)));
    }
    if !(request.method == "CONNECT" && request.path.is_empty()) {
        headers.push((b":path".to_vec(), template::bytes(&request.path)));
    }
    headers.push((b":method".to_vec(), template::bytes(&request.method)));
    headers.push((b":scheme".to_vec(), b"http".to_vec()));
    headers.extend(lines(request).into_iter().map(lower));
    let peer: Option<SocketAddr> =
        request.peer.as_ref().map(|peer| peer.parse().expect("peer is address:port"));
    let source_address = source_address(&headers, peer, listener);
    if let (Some(peer), true) = (peer, listener.use_remote_address) {
        append_forwarded_for(&mut headers, peer.ip());
    }
    headers.push((b"x-forwarded-proto".to_vec(), b"http".to_vec()));
    headers.push((b"x-request-id".to_vec(), request_id.as_bytes().to_vec()));
    Presented {
        headers,
        trailers: request.trailers.iter().map(|line| lower(header(line))).collect(),
        source_address,
        route_name: request.route_name.as_ref().map(|name| template::bytes(name)),
    }
}

/// The header lines of a request, the key's and the token's among them.
pub fn lines(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines = Vec::new();
    if let Some(value) = &request.forwarded_for {
        lines.push((b"x-forwarded-for".to_vec(), template::bytes(value)));
    }
    lines.extend(request.headers.iter().map(|line| header(line)));
    if let Some(name) = &request.key {
        lines.push((b"x-api-key".to_vec(), template::api_key(name).into_bytes()));
    }
    if let Some(token) = &request.token {
        lines.push((b"authorization".to_vec(), template::bytes(&format!("Bearer {token}"))));
    }
    lines.extend(
        (0..request.many_headers).map(|n| (format!("x-many-{n}").into_bytes(), b"v".to_vec())),
    );
    lines
}

/// The name and the value of a `name: value` line.
pub fn header(line: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no `:` in header `{line}`"));
    (template::bytes(name), template::bytes(value.strip_prefix(' ').unwrap_or(value)))
}

/// Envoy shows every name in lower case.
fn lower((name, value): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    (name.to_ascii_lowercase(), value)
}

/// Envoy without `use_remote_address` believes the last entry of the caller's own header, port 0.
fn source_address(
    headers: &[(Vec<u8>, Vec<u8>)],
    peer: Option<SocketAddr>,
    listener: &Listener,
) -> Option<Vec<u8>> {
    let claimed =
        headers.iter().rfind(|(name, _)| name == b"x-forwarded-for").and_then(|(_, value)| {
            std::str::from_utf8(value).ok()?.rsplit(',').next()?.trim().parse().ok()
        });
    let address = match (listener.use_remote_address, claimed) {
        (false, Some(claimed)) => SocketAddr::new(claimed, 0),
        _ => peer?,
    };
    Some(address.to_string().into_bytes())
}

fn append_forwarded_for(headers: &mut Vec<(Vec<u8>, Vec<u8>)>, peer: IpAddr) {
    let peer = peer.to_string().into_bytes();
    match headers.iter_mut().rfind(|(name, _)| name == b"x-forwarded-for") {
        Some((_, value)) => {
            value.push(b',');
            value.extend(peer);
        }
        None => headers.push((b"x-forwarded-for".to_vec(), peer)),
    }
}
