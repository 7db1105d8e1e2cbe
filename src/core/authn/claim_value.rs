//! Claims that a policy names: where they stand in a token, what they hold, what is asked of them.

use super::fault::Fault;
use crate::node::Node;
use crate::node::flat::{Kind, Value};

/// Most entries that are read of a claim that is a list. RFC 7519 sets no bound, a token's size does.
const MAX_ENTRIES: usize = 256;

/// A claim's place: the names of members from the outermost object in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimPath(pub(crate) Box<[Box<str>]>);

impl ClaimPath {
    /// A place written with dots: `resource_access.orders.client`; `\.` is a dot in a name, `\\` a
    /// backslash. `None` for an empty name or another escape.
    pub(crate) fn dotted(text: &str) -> Option<Self> {
        let (mut names, mut name) = (Vec::new(), String::new());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '.' => names.push(std::mem::take(&mut name)),
                '\\' => name.push(letters.next().filter(|next| matches!(next, '.' | '\\'))?),
                other => name.push(other),
            }
        }
        names.push(name);
        let good = names.iter().all(|name| !name.is_empty());
        good.then(|| Self(names.into_iter().map(String::into_boxed_str).collect()))
    }

    /// What stands there. A path through something that is not an object leads nowhere.
    pub(crate) fn find<'c>(&self, claims: Value<'c>) -> Option<Value<'c>> {
        self.0.iter().try_fold(claims, |value, name| value.member(name))
    }

    /// The text there, for who asks whose token it is.
    ///
    /// # Errors
    /// `token_malformed` for anything else: wrong type is never absent.
    pub(crate) fn text<'c>(&self, claims: Value<'c>) -> Result<Option<&'c str>, Fault> {
        let why = "a claim that says whose the token is is not a text";
        self.find(claims).map(|value| value.as_text().ok_or(Fault::malformed(why))).transpose()
    }
}

/// A claim's value, as far as a condition can be about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClaimValue {
    One(Scalar),
    /// A list: its entries that are no scalars are left out, for nothing can be equal to them.
    List(Box<[Scalar]>),
}

/// A value that is not made of others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Text(Box<str>),
    Number(f64),
    Bool(bool),
}

impl Scalar {
    /// `None` for `null`, lists, objects, and numbers that a double does not hold exactly.
    pub(crate) fn read(kind: Kind<'_>) -> Option<Self> {
        match kind {
            Kind::Text(text) => Some(Self::Text(text.into())),
            Kind::Number(number) => decimal(number).map(|_| Self::Number(number)),
            Kind::Bool(flag) => Some(Self::Bool(flag)),
            Kind::Null | Kind::List | Kind::Map => None,
        }
    }

    /// The same of a document's value.
    pub(crate) fn of(node: &Node<'_>) -> Option<Self> {
        Self::read(node.kind())
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => escape(out, text.as_bytes()),
            Self::Number(number) => escape(out, decimal(*number).unwrap_or_default().as_bytes()),
            Self::Bool(flag) => escape(out, flag.to_string().as_bytes()),
        }
    }
}

impl ClaimValue {
    /// `None` for what no condition can hold for: `null`, objects, numbers that are not exact, lists
    /// of more than 256 entries.
    pub(crate) fn read(value: Value<'_>) -> Option<Self> {
        match value.kind() {
            Kind::List if value.inner().count() > MAX_ENTRIES => None,
            Kind::List => {
                let mut scalars = Vec::new();
                for item in value.inner() {
                    scalars.extend(Scalar::read(item.kind()));
                }
                Some(Self::List(scalars.into()))
            }
            kind => Scalar::read(kind).map(Self::One),
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::One(Scalar::Text(text)) = self { Some(text) } else { None }
    }

    /// How many values it is made of.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::List(entries) => entries.len(),
        }
    }
}

/// Largest number that is no other one's rounding: 2^53 - 1. Identifiers of 64 bits go beyond.
const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;

/// A number as the shortest decimal that is read as it; what is not negative has no sign.
///
/// `None` where several decimals of that length are one double: above 2^53 - 1, and for a fraction of more than
/// 15 digits or 22 places. Up to there a power of ten is a double, and the quotient of two doubles is the one
/// that their decimal is read as. (The digits of any double would be 10 KB of the module.)
pub(crate) fn decimal(number: f64) -> Option<String> {
    const MOST_PLACES: usize = 22;
    const MOST_DIGITS: f64 = 999_999_999_999_999.0;
    let size = number.abs();
    let mut power = 1.0;
    for places in 0..=MOST_PLACES {
        let digits = (size * power).round_ties_even();
        let most = if places == 0 { MAX_NUMBER } else { MOST_DIGITS };
        if !(0.0..=most).contains(&digits) {
            return None;
        }
        if (digits / power).to_bits() == size.to_bits() {
            return Some(with_point(number < 0.0, digits, places));
        }
        power *= 10.0;
    }
    None
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number from 0 to 2^53"
)]
fn with_point(is_negative: bool, digits: f64, places: usize) -> String {
    let mut text = (digits as u64).to_string();
    let zeros = places.saturating_add(1).saturating_sub(text.len());
    text.insert_str(0, &"0".repeat(zeros));
    if places > 0 {
        text.insert(text.len().saturating_sub(places), '.');
    }
    if is_negative {
        text.insert(0, '-');
    }
    text
}

/// What a route asks of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// It is this, of this type.
    Equals(Scalar),
    /// It is one of these.
    OneOf(Box<[Scalar]>),
    /// It is a list that has this.
    Contains(Scalar),
}

impl Condition {
    /// Whether it holds. A claim that is not there satisfies nothing.
    pub(crate) fn holds(&self, value: Option<&ClaimValue>) -> bool {
        let Some(value) = value else { return false };
        match (self, value) {
            (Self::Equals(scalar), ClaimValue::One(held)) => held == scalar,
            (Self::OneOf(scalars), ClaimValue::One(held)) => scalars.contains(held),
            (Self::Contains(scalar), ClaimValue::List(entries)) => entries.contains(scalar),
            _ => false,
        }
    }
}

/// The longest value of a header that a claim is written to, in bytes as it is sent.
pub(crate) const MAX_HEADER: usize = 1_024;

/// A claim as a header's value: visible ASCII as it is, everything else, `%` and `,` among it, as
/// percent-escaped UTF-8. Entries of a list stand with commas between them. Nothing that a token holds
/// can end the line or begin another entry.
///
/// `None` for a value that is too long; it is left out, never cut.
pub(crate) fn header_value(value: &ClaimValue) -> Option<String> {
    let mut out = String::new();
    match value {
        ClaimValue::One(scalar) => scalar.write(&mut out),
        ClaimValue::List(entries) => {
            for (position, entry) in entries.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                entry.write(&mut out);
            }
        }
    }
    (out.len() <= MAX_HEADER).then_some(out)
}

/// Whether a byte stands for itself in a header.
pub(crate) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b',')
}

/// Writes a text as visible ASCII, with everything else, `%` and `,` percent-escaped.
pub(crate) fn escape(out: &mut String, text: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for &byte in text {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
            out.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::flat::Flat;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn value(json: &str) -> Option<ClaimValue> {
        let mut tree = None;
        Flat::read(json.as_bytes(), &mut tree).and_then(|flat| ClaimValue::read(flat.root()))
    }

    fn scalar(json: &str) -> Scalar {
        let mut tree = None;
        let flat = Flat::read(json.as_bytes(), &mut tree);
        flat.and_then(|flat| Scalar::read(flat.root().kind())).unwrap_or_else(|| panic!("{json}"))
    }

    #[test]
    fn a_path_leads_through_objects_only() {
        let claims = r#"{"a":{"b":{"c":"x"}},"a.b":1,"l":[{"c":1}]}"#;
        let mut tree = None;
        let claims = Flat::read(claims.as_bytes(), &mut tree).unwrap_or_else(|| panic!("{claims}"));
        let at = |text: &str| {
            ClaimPath::dotted(text).and_then(|path| path.find(claims.root())).is_some()
        };
        assert!(at("a") && at("a.b") && at("a.b.c"));
        assert!(!at("a.b.c.d") && !at("l.c") && !at("l.0") && !at("b") && !at("A"));
        let claims = r#"{"https://example.com/roles":["a"]}"#;
        let mut tree = None;
        let claims = Flat::read(claims.as_bytes(), &mut tree).unwrap_or_else(|| panic!("{claims}"));
        let path = ClaimPath::dotted(r"https://example\.com/roles");
        assert!(path.and_then(|path| path.find(claims.root())).is_some());
        assert!(
            ["", ".", "a.", ".a", "a..b", "a\\", "a\\b"]
                .iter()
                .all(|text| ClaimPath::dotted(text).is_none())
        );
    }

    #[test]
    fn a_number_is_the_shortest_decimal_that_is_read_as_it() {
        let read = |text: &str| text.parse::<f64>().unwrap_or_else(|fault| panic!("{fault}"));
        for text in [
            "0",
            "7",
            "-7",
            "10",
            "1.5",
            "-0.1",
            "0.25",
            "1800000000.5",
            "3.14159265358979",
            "0.001",
            "9007199254740991",
            "-9007199254740991",
            "0.0000000000000000000001",
            "123456789.123456",
        ] {
            assert_eq!(decimal(read(text)).as_deref(), Some(text));
        }
        assert_eq!(decimal(-0.0).as_deref(), Some("0"));
        assert_eq!(decimal(read("1e2")).as_deref(), Some("100"));
        for text in [
            "9007199254740992",
            "1e300",
            "1e-23",
            "787120598470292.3",
            "852.7904685616358",
            "inf",
            "NaN",
        ] {
            assert_eq!(decimal(read(text)), None, "{text}");
        }
        // As Rust writes it, wherever there is an answer.
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let places = i32::try_from(seed >> 60).unwrap_or_default();
            let upper = u32::try_from(seed >> 32).unwrap_or_default();
            let fraction = f64::from(upper) / 10_f64.powi(places);
            assert_eq!(decimal(fraction), Some(fraction.to_string()));
            let any = f64::from_bits(seed);
            assert!(decimal(any).is_none_or(|text| text == (any + 0.0).to_string()), "{any}");
        }
    }

    #[test]
    fn conditions_compare_type_and_value() {
        let holds = |condition: &Condition, json: &str| condition.holds(value(json).as_ref());
        let equals = Condition::Equals(scalar("\"gold\""));
        assert!(holds(&equals, "\"gold\""));
        for json in ["\"GOLD\"", "\"gold \"", "[\"gold\"]", "{\"gold\":1}", "null", "1", "true"] {
            assert!(!holds(&equals, json), "{json}");
        }
        assert!(!equals.holds(None));
        // Two identifiers that a double takes for one are none.
        let big = Condition::Equals(Scalar::Number(9_007_199_254_740_992.0));
        assert!(!holds(&big, "9007199254740993") && !holds(&big, "9007199254740992"));
        assert_eq!(
            value("9007199254740991"),
            Some(ClaimValue::One(Scalar::Number(9_007_199_254_740_991.0)))
        );
        let yes = Condition::Equals(scalar("true"));
        assert!(holds(&yes, "true") && !holds(&yes, "\"true\"") && !holds(&yes, "1"));
        let one = Condition::OneOf([scalar("1"), scalar("\"a\"")].into());
        assert!(holds(&one, "1") && holds(&one, "1.0") && holds(&one, "\"a\""));
        assert!(!holds(&one, "\"1\"") && !holds(&one, "[1]"));
        let contains = Condition::Contains(scalar("\"a\""));
        assert!(holds(&contains, "[1,\"a\"]") && holds(&contains, "[null,{},\"a\"]"));
        assert!(!holds(&contains, "\"a\"") && !holds(&contains, "[\"ab\"]"));
        assert!(!holds(&contains, "[[\"a\"]]") && !holds(&contains, "{\"a\":\"a\"}"));
        let many = format!("[{}\"a\"]", "1,".repeat(MAX_ENTRIES));
        assert!(!holds(&contains, &many));
    }

    #[test]
    fn a_header_holds_one_value() {
        // J61
        let written = |json: &str| value(json).and_then(|value| header_value(&value));
        for (json, expected) in [
            ("\"alpha-1\"", "alpha-1"),
            ("\"a\\r\\nx-auth-scopes: admin\"", "a%0D%0Ax-auth-scopes:%20admin"),
            ("\"\u{e9}\"", "%C3%A9"),
            ("\"a,b\"", "a%2Cb"),
            ("\"50%\"", "50%25"),
            ("\"\\u0000\\u007f\"", "%00%7F"),
            ("[\"a,b\",1,true]", "a%2Cb,1,true"),
            ("\"\"", ""),
        ] {
            assert_eq!(written(json).as_deref(), Some(expected), "{json}");
        }
        assert_eq!(written(&format!("\"{}\"", "a".repeat(10_240))), None);
        assert_eq!(written("{}"), None);
    }
}
