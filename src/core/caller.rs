//! Where a request comes from, by the policy's choice of whom to believe.

use crate::address::{Address, Cidr};
use crate::host;
use crate::policy::AddressSource;
use crate::request::Request;

/// Most entries of `x-forwarded-for` that are walked; behind so many proxies the caller is unknown.
const MAX_HOPS: usize = 32;

/// Why the caller's address is not known for certain, in words for the operator.
pub(crate) type Doubt = &'static str;

/// The caller's address.
///
/// # Errors
/// Says why it is not known; rules that need it then refuse.
#[inline]
pub(crate) fn address(source: &AddressSource, request: &Request<'_>) -> Result<Address, Doubt> {
    let text = request.source_address.ok_or("envoy has no source address")?;
    let (address, port) = split(text).ok_or("envoy's source address is not an IP address")?;
    match source {
        AddressSource::Peer | AddressSource::ForwardedFor(_) if port == 0 => {
            Err("envoy took the address from a header, not from its socket")
        }
        AddressSource::Envoy | AddressSource::Peer => Ok(address),
        AddressSource::ForwardedFor(trusted) => forwarded_for(address, trusted, request),
    }
}

/// Walks `x-forwarded-for` from the right as far as the entries are trusted proxies.
///
/// Envoy appended the last entry itself: the peer or, for a peer on loopback, an address of its own.
/// Anything else there means that it does not append, and then no entry can be believed.
fn forwarded_for(peer: Address, trusted: &[Cidr], request: &Request<'_>) -> Result<Address, Doubt> {
    let is_trusted = |address| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(peer) {
        return Ok(peer);
    }
    let lines = request.headers.iter().rev().filter(|(name, _)| *name == b"x-forwarded-for");
    let mut entries = lines.flat_map(|(_, value)| value.rsplit(|byte| *byte == b','));
    let Some(appended) = entries.next().map(entry) else {
        return Ok(peer);
    };
    if appended != Some(peer) && !(peer.is_loopback() && appended.is_some()) {
        return Err("the last x-forwarded-for entry is not the peer: envoy does not append it");
    }
    let mut nearest = peer;
    for text in entries.by_ref().take(MAX_HOPS).filter(|text| !text.trim_ascii().is_empty()) {
        nearest = entry(text).ok_or("an x-forwarded-for entry is not an IP address")?;
        if !is_trusted(nearest) {
            return Ok(nearest);
        }
    }
    match entries.next() {
        None => Ok(nearest),
        Some(_) => Err("x-forwarded-for names more than 32 hops"),
    }
}

/// One entry: an address, an IPv6 address in brackets, either with a port.
fn entry(text: &[u8]) -> Option<Address> {
    let text = text.trim_ascii();
    Address::parse(text).or_else(|| split(text).map(|(address, _)| address)).or_else(|| {
        let inside = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
        Address::parse(inside).filter(|_| inside.contains(&b':'))
    })
}

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
#[inline]
fn split(text: &[u8]) -> Option<(Address, u16)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let (address, port) = text.split_at_checked(colon)?;
    let port = host::port(port.strip_prefix(b":")?)?;
    let bracketed = address.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let address = match bracketed {
        Some(inside) => Address::parse(inside).filter(|_| inside.contains(&b':')),
        None => Address::parse_v4(address),
    };
    Some((address?, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn caller(source: &AddressSource, peer: &str, forwarded: &[&str]) -> Option<String> {
        let lines: Vec<_> =
            forwarded.iter().map(|value| (&b"x-forwarded-for"[..], value.as_bytes())).collect();
        let source_address = Some(peer.as_bytes());
        let request = Request { headers: &lines, source_address, route_name: None };
        address(source, &request).ok().map(|address| address.to_string())
    }

    fn proxies() -> AddressSource {
        AddressSource::ForwardedFor(Cidr::parse("10.0.0.0/8").into_iter().collect())
    }

    #[test]
    fn the_peer_has_a_port() {
        let peer = |text| caller(&AddressSource::Peer, text, &["192.0.2.9"]);
        assert_eq!(peer("198.51.100.7:1234").as_deref(), Some("198.51.100.7"));
        assert_eq!(peer("[2001:db8::1]:1234").as_deref(), Some("2001:db8::1"));
        assert_eq!(peer("[::ffff:198.51.100.7]:1").as_deref(), Some("198.51.100.7"));
        // W11
        for text in [
            "198.51.100.7:0",
            "198.51.100.7",
            "",
            "/tmp/socket",
            "@internal",
            "2001:db8::1:80",
            "1.2.3.4:x",
        ] {
            assert_eq!(peer(text), None, "{text}");
        }
        let envoy = caller(&AddressSource::Envoy, "198.51.100.7:0", &[]);
        assert_eq!(envoy.as_deref(), Some("198.51.100.7"));
    }

    #[test]
    fn forwarded_for_is_read_from_the_right() {
        let from = |lines: &[&str]| caller(&proxies(), "10.0.0.1:5", lines);
        let found = |lines: &[&str], expected: Option<&str>| {
            assert_eq!(from(lines).as_deref(), expected, "{lines:?}");
        };
        // I02, I03, I04, L14
        found(&["198.51.100.7, 203.0.113.9,10.0.0.1"], Some("203.0.113.9"));
        found(&["203.0.113.9, 198.51.100.7, 10.0.0.2,10.0.0.1"], Some("198.51.100.7"));
        found(&["1.1.1.1", "203.0.113.9,10.0.0.1"], Some("203.0.113.9"));
        found(&["203.0.113.9", "10.0.0.1"], Some("203.0.113.9"));
        // I06
        found(&[], Some("10.0.0.1"));
        found(&["10.0.0.1"], Some("10.0.0.1"));
        found(&[", ,10.0.0.1"], Some("10.0.0.1"));
        // I07, W02
        for bad in ["unknown", "_hidden", "bad", "-", "\"198.51.100.7\"", "1 \u{c0}"] {
            found(&[&format!("198.51.100.7, {bad},10.0.0.1")], None);
        }
        // I08
        found(&["203.0.113.9:1234,10.0.0.1"], Some("203.0.113.9"));
        found(&["[2001:db8:bad::1]:443,10.0.0.1"], Some("2001:db8:bad::1"));
        found(&["[2001:db8:bad::1],10.0.0.1"], Some("2001:db8:bad::1"));
        // The connection manager does not append: nothing can be believed.
        found(&["203.0.113.9"], None);
    }

    #[test]
    fn who_is_no_proxy_is_the_caller() {
        let from = caller(&proxies(), "192.0.2.1:5", &["203.0.113.9, 192.0.2.1"]);
        assert_eq!(from.as_deref(), Some("192.0.2.1"));
        // Envoy appends an address of its own for a peer on loopback.
        let local = AddressSource::ForwardedFor(Cidr::parse("127.0.0.1").into_iter().collect());
        let from = caller(&local, "127.0.0.1:5", &["203.0.113.9, 172.17.0.2"]);
        assert_eq!(from.as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn a_chain_without_end_is_unknown() {
        let chain = format!("{}10.0.0.1", "10.0.0.2,".repeat(10_000));
        assert_eq!(caller(&proxies(), "10.0.0.1:5", &[&chain]), None);
        let all_trusted = caller(&proxies(), "10.0.0.1:5", &["10.0.0.3,10.0.0.2,10.0.0.1"]);
        assert_eq!(all_trusted.as_deref(), Some("10.0.0.3"));
    }
}
