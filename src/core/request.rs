//! A request as the host shows it: bytes, every header line kept, nothing interpreted yet.

use std::fmt;

/// One header line: its name as Envoy gives it (lower case) and its value, any bytes.
pub type HeaderLine<'r> = (&'r [u8], &'r [u8]);

/// A borrowed view of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    /// Every line in order, pseudo headers such as `:path` included, duplicates kept.
    pub headers: &'r [HeaderLine<'r>],
    /// The text of Envoy's attribute `source.address`, such as `198.51.100.7:1234`. `None` where
    /// [`Needs`](crate::Needs) does not ask for it or Envoy has none.
    pub source_address: Option<&'r [u8]>,
    /// Envoy's attribute `xds.route_name`. `None` where [`Needs`](crate::Needs) does not ask for it
    /// or Envoy has none.
    pub route_name: Option<&'r [u8]>,
}

/// The lines of a header that the decision reads as one value. It may be a credential, so its `Debug`
/// does not show it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Field<'r> {
    /// No line.
    #[default]
    Absent,
    /// Exactly one line, with its value.
    One(&'r [u8]),
    /// Two lines or more, whatever they hold.
    Many,
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::One(value) => write!(f, "One({} bytes)", value.len()),
            Self::Many => f.write_str("Many"),
        }
    }
}

impl<'r> Field<'r> {
    /// Counts one more line in.
    pub(crate) fn add(&mut self, value: &'r [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        };
    }

    /// The value, where there is exactly one line.
    pub(crate) fn one(self) -> Option<&'r [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::Absent | Self::Many => None,
        }
    }
}
