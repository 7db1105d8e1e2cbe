//! Addresses as numbers, each in one form, and the ranges they fall in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::json::push_number;

/// An IP address. An IPv4-mapped IPv6 address is the IPv4 address (RFC 4291 section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IPv4 address.
    V4(u32),
    /// An IPv6 address outside `::ffff:0:0/96`.
    V6(u128),
}

impl Address {
    /// Reads an address: four decimal numbers without leading zeros, or an IPv6 address without zone.
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::parse_v4(text).or_else(|| {
            let address = str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok()?;
            Some(match address.to_canonical() {
                IpAddr::V4(address) => Self::V4(address.to_bits()),
                IpAddr::V6(address) => Self::V6(address.to_bits()),
            })
        })
    }

    /// Reads an IPv4 address: four decimal numbers without leading zeros, as the standard library does.
    /// Nearly every request has one, and the library has more to look out for.
    pub(crate) fn parse_v4(text: &[u8]) -> Option<Self> {
        let (mut bits, mut dots, mut number, mut has_digit) = (0_u32, 0_u8, 0_u32, false);
        for byte in text {
            match byte {
                b'.' if has_digit && dots < 3 => {
                    dots = dots.saturating_add(1);
                    (bits, number, has_digit) = (bits << 8 | number, 0, false);
                }
                b'0'..=b'9' if number > 0 || !has_digit => {
                    // At most 255 so far.
                    number = number.wrapping_mul(10).wrapping_add(u32::from(byte & 0x0f));
                    has_digit = true;
                }
                _ => return None,
            }
            if number > 255 {
                return None;
            }
        }
        (dots == 3 && has_digit).then_some(Self::V4(bits << 8 | number))
    }

    /// The IPv4 address inside an IPv6 one that only carries it: NAT64 `64:ff9b::/96` (RFC 6052),
    /// 6to4 `2002::/16` (RFC 3056) and the deprecated `::a.b.c.d` (RFC 4291).
    pub(crate) fn embedded(self) -> Option<Self> {
        let Self::V6(bits) = self else { return None };
        let low = u32::try_from(bits & 0xffff_ffff).ok()?;
        let embedded = match (bits >> 96, bits >> 32) {
            (0x0064_ff9b, 0x0064_ff9b_0000_0000_0000_0000) => low,
            (_, 0) if low > 0xffff => low,
            _ if bits >> 112 == 0x2002 => u32::try_from(bits >> 80 & 0xffff_ffff).ok()?,
            _ => return None,
        };
        Some(Self::V4(embedded))
    }

    /// The address without the bits behind a prefix of this length: of IPv4 and of IPv6.
    pub(crate) fn network(self, v4: u8, v6: u8) -> Self {
        match self {
            Self::V4(bits) => Self::V4(bits & !u32::MAX.checked_shr(v4.into()).unwrap_or(0)),
            Self::V6(bits) => Self::V6(bits & !u128::MAX.checked_shr(v6.into()).unwrap_or(0)),
        }
    }

    /// Foretells the order of addresses, as [`crate::sorted::sort_by_rank`] needs it: of two ranks the
    /// smaller one comes first. All IPv4 comes first, and each of it has a rank of its own.
    pub(crate) const fn rank(self) -> u64 {
        match self {
            Self::V4(bits) => bits as u64,
            // The upper bits are the half that tells most prefixes apart.
            Self::V6(bits) => (bits >> 65) as u64 | 1 << 63,
        }
    }

    /// Writes the address as it is displayed. Every record has one, and most are IPv4: those without the
    /// machinery of formatting.
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::V4(bits) => {
                for (at, number) in bits.to_be_bytes().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b'.');
                    }
                    push_number(out, number.into());
                }
            }
            Self::V6(_) => out.extend_from_slice(self.to_string().as_bytes()),
        }
    }

    pub(crate) const fn is_loopback(self) -> bool {
        match self {
            Self::V4(bits) => bits >> 24 == 127,
            Self::V6(bits) => bits == 1,
        }
    }
}

impl fmt::Display for Address {
    /// The usual text; IPv6 as RFC 5952 recommends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(bits) => Ipv4Addr::from_bits(bits).fmt(f),
            Self::V6(bits) => Ipv6Addr::from_bits(bits).fmt(f),
        }
    }
}

/// A range of addresses that share a prefix (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    first: Address,
    last: Address,
    length: u8,
}

/// What is wrong with the text of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrFault {
    /// Not `ADDRESS/LENGTH` or a single address.
    Syntax,
    /// The length is not a number from 0 to 32, or to 128 for IPv6.
    Length,
    /// Bits are set behind the prefix; the range that was perhaps meant.
    HostBits(Cidr),
}

impl Cidr {
    /// Reads `ADDRESS/LENGTH`, or one address alone. IPv4-mapped ranges become IPv4 ranges.
    ///
    /// # Errors
    /// A [`CidrFault`]; host bits behind the prefix are refused, with the masked range as a hint.
    pub fn parse(text: &str) -> Result<Self, CidrFault> {
        let (address_text, length_text) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written = address_text.parse::<IpAddr>().map_err(|_| CidrFault::Syntax)?;
        let width = if written.is_ipv4() { 32 } else { 128 };
        let length = match length_text {
            None => width,
            Some(digits) => parse_length(digits, width).ok_or(CidrFault::Length)?,
        };
        let address = Address::parse(address_text.as_bytes()).ok_or(CidrFault::Syntax)?;
        let length = match (written, address) {
            // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; a shorter prefix would span both families.
            (IpAddr::V6(_), Address::V4(_)) => length.checked_sub(96).ok_or(CidrFault::Length)?,
            _ => length,
        };
        let range = Self::around(address, length);
        if range.first == address { Ok(range) } else { Err(CidrFault::HostBits(range)) }
    }

    /// The range of this length that holds an address.
    fn around(address: Address, length: u8) -> Self {
        let (first, last) = match address {
            Address::V4(bits) => {
                let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                (Address::V4(bits & !host), Address::V4(bits | host))
            }
            Address::V6(bits) => {
                let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                (Address::V6(bits & !host), Address::V6(bits | host))
            }
        };
        Self { first, last, length }
    }

    /// The lowest address of the range.
    pub const fn first(&self) -> Address {
        self.first
    }

    /// The highest address of the range.
    pub const fn last(&self) -> Address {
        self.last
    }

    /// Number of leading bits that all addresses of the range share.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address lies in the range; families never mix.
    pub fn contains(&self, address: Address) -> bool {
        self.first <= address && address <= self.last
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

fn parse_length(digits: &str, width: u8) -> Option<u8> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    digits.parse::<u8>().ok().filter(|length| plain && *length <= width)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn shown(text: &str) -> Option<String> {
        Address::parse(text.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn an_address_has_one_form() {
        // I13, L13
        for text in ["2001:DB8:0BAD:0:0:0:0:1", "2001:db8:bad::1", "2001:db8:bad:0::0:1"] {
            assert_eq!(shown(text).as_deref(), Some("2001:db8:bad::1"));
        }
        for text in ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109"] {
            assert_eq!(shown(text).as_deref(), Some("203.0.113.9"));
        }
    }

    #[test]
    fn odd_spellings_are_not_addresses() {
        // I12
        for text in [
            "",
            "unknown",
            "0313.0.113.9",
            "203.000.113.009",
            "0xcb.0.0x71.9",
            "203.28937",
            "3405803785",
            "203.0.113.9.",
            "\u{ff12}03.0.113.9",
            "203.0.113.9:80",
            "[::1]",
            "fe80::1%eth0",
            " 203.0.113.9",
            "-",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_is_read_as_the_standard_library_reads_it() {
        let mut texts = vec![String::new()];
        for length in 0..11 {
            // Every text of seven bytes of these, and longer ones that begin like an address.
            let longer = texts.iter().filter(|text| text.len() == length);
            let longer = longer.filter(|text| length < 7 || text.starts_with("1.0.25"));
            let longer =
                longer.flat_map(|text| "0125.".chars().map(move |next| format!("{text}{next}")));
            texts.extend(longer.collect::<Vec<_>>());
        }
        let mut found = 0;
        for text in texts {
            let address =
                text.parse::<Ipv4Addr>().ok().map(|address| Address::V4(address.to_bits()));
            assert_eq!(Address::parse_v4(text.as_bytes()), address, "{text}");
            found += u32::from(address.is_some());
        }
        assert!(found > 256, "{found}");
    }

    #[test]
    fn an_embedded_ipv4_address_is_found() {
        // I10
        for text in ["64:ff9b::cb00:7109", "2002:cb00:7109::1", "::203.0.113.9"] {
            let address = Address::parse(text.as_bytes()).and_then(Address::embedded);
            assert_eq!(address.map(|address| address.to_string()).as_deref(), Some("203.0.113.9"));
        }
        for text in ["::1", "2001:db8::1", "203.0.113.9", "64:ff9b:1::cb00:7109"] {
            assert_eq!(Address::parse(text.as_bytes()).and_then(Address::embedded), None, "{text}");
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        // I17
        let cidr = |text: &str| Cidr::parse(text).map(|cidr| cidr.to_string());
        assert_eq!(cidr("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(cidr("198.51.100.7").as_deref(), Ok("198.51.100.7/32"));
        assert_eq!(cidr("::/0").as_deref(), Ok("::/0"));
        assert_eq!(cidr("::ffff:10.0.0.0/104").as_deref(), Ok("10.0.0.0/8"));
        assert!(
            matches!(Cidr::parse("10.0.0.5/8"), Err(CidrFault::HostBits(range)) if range.to_string() == "10.0.0.0/8")
        );
        for text in [
            "10.0.0.0/33",
            "2001:db8::/129",
            "10.0.0.0/-1",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::ffff:0.0.0.0/95",
        ] {
            assert!(matches!(Cidr::parse(text), Err(CidrFault::Length)), "{text}");
        }
        for text in ["10.0.0/8", "010.0.0.0/8", "", "/8", "10.0.0.0 /8"] {
            assert!(matches!(Cidr::parse(text), Err(CidrFault::Syntax)), "{text}");
        }
    }
}
