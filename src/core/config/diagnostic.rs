//! Findings about a policy: what is said in Envoy's log and by `portcullis check`, in the same words.

use std::fmt;

use super::place::Place;
use crate::sorted::sort_by;

/// How many findings of a policy are kept: more are counted, so that a policy which is wrong in
/// 100,000 places costs neither memory nor a flooded log.
pub const MAX_DIAGNOSTICS: usize = 200;

/// Longest text of the policy that a message repeats, in characters.
const SHOWN_CHARS: usize = 64;
/// Longest place that a line shows, in characters.
const PLACE_CHARS: usize = 256;

/// Whether a finding refuses the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is accepted, but says something its author can hardly want.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One finding about a policy. No part of it ever repeats what may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it refuses the policy.
    pub severity: Severity,
    /// What kind of finding: stable snake case, one of [`code::ALL`].
    pub code: &'static str,
    /// Where, as a JSON pointer (RFC 6901); empty for the document as a whole.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl fmt::Display for Diagnostic {
    /// One line: `error[code] at /routes/3/scopes: message (help: what to do)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.severity, self.code)?;
        if !self.place.is_empty() {
            let (place, dots) = cut(&self.place, PLACE_CHARS);
            write!(f, " at {}{dots}", Printable(place))?;
        }
        write!(f, ": {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, " (help: {})", self.help)?;
        }
        Ok(())
    }
}

/// Text of the policy as messages repeat it: in backticks, on one line, cut at a bound, and not at
/// all when it has the look of an API key.
pub(crate) struct Shown<'t>(pub(crate) &'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if looks_secret(self.0) {
            return f.write_str("a text that looks like an API key");
        }
        let (head, dots) = cut(self.0, SHOWN_CHARS);
        write!(f, "`{}{dots}`", Printable(head))
    }
}

/// The first characters of a text, and dots if there are more.
fn cut(text: &str, most: usize) -> (&str, &'static str) {
    match text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)) {
        Some(head) => (head, "…"),
        None => (text, ""),
    }
}

/// Whether a text outside of the credentials may be one all the same, pasted into the wrong line.
pub(crate) fn looks_secret(text: &str) -> bool {
    text.contains("pcl_")
}

/// Text with everything escaped that could end the line or change how it is displayed.
struct Printable<'t>(&'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            let harmless = match character {
                ' '..='~' => character != '`',
                // Line and paragraph separators, marks that change the direction of text.
                '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}' => false,
                _ => !character.is_control(),
            };
            if harmless {
                write!(f, "{character}")
            } else {
                write!(f, "\\u{{{:x}}}", u32::from(character))
            }
        })
    }
}

/// Gathers the findings about one policy.
#[derive(Default)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    unshown: usize,
}

impl Report {
    /// Something that refuses the policy.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        place: &Place<'_>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        self.errors = self.errors.saturating_add(1);
        self.add(Severity::Error, code, place, &message, &help);
    }

    /// Something that its author should know.
    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        place: &Place<'_>,
        message: impl fmt::Display,
        help: impl fmt::Display,
    ) {
        self.add(Severity::Warning, code, place, &message, &help);
    }

    /// Whether anything refuses the policy.
    pub(crate) const fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether a further finding would only be counted, so that looking for its help is in vain.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// All findings, errors first, otherwise in the order in which they were made.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        if self.unshown > 0 {
            let severity = if self.has_errors() { Severity::Error } else { Severity::Warning };
            self.diagnostics.push(Diagnostic {
                severity,
                code: code::MORE,
                place: String::new(),
                message: format!("{} more findings are not shown", self.unshown),
                help: "mend these first".to_owned(),
            });
        }
        sort_by(&mut self.diagnostics, |a, b| a.severity.cmp(&b.severity));
        self.diagnostics
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: &Place<'_>,
        message: &dyn fmt::Display,
        help: &dyn fmt::Display,
    ) {
        if self.is_full() {
            self.unshown = self.unshown.saturating_add(1);
            return;
        }
        self.diagnostics.push(Diagnostic {
            severity,
            code,
            place: place.to_string(),
            message: message.to_string(),
            help: help.to_string(),
        });
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $text;)*

        /// Every code with its meaning, for the reference page.
        #[cfg(not(target_family = "wasm"))]
        pub const ALL: &[(&str, &str)] = &[$(($text, $meaning)),*];
    };
}

/// The codes of all findings: a closed list whose entries are never renamed.
pub mod code {
    codes! {
        POLICY_EMPTY = "policy_empty", "There is no policy at all.";
        JSON_INVALID = "json_invalid", "The text is not JSON (RFC 8259), or is nested too deeply.";
        STRUCT_INVALID = "struct_invalid", "The bytes are neither JSON text nor a `google.protobuf.Struct`.";
        DUPLICATE_MEMBER = "duplicate_member", "An object has two members of one name.";
        UNKNOWN_FIELD = "unknown_field", "The object has no such field.";
        MISSING_FIELD = "missing_field", "A required field is not there.";
        WRONG_TYPE = "wrong_type", "A value of another type belongs here.";
        EMPTY = "empty", "A list, map or text is empty.";
        OUT_OF_BOUNDS = "out_of_bounds", "A number, or the length of a text, is outside its bounds.";
        UNKNOWN_WORD = "unknown_word", "The field takes one of a few words, and this is none of them.";
        FIELDS_CONFLICT = "fields_conflict", "Two fields exclude each other.";
        FIELD_WITHOUT_EFFECT = "field_without_effect", "The field can do nothing here.";
        BAD_TEXT = "bad_text", "A text is not written in the form that its field takes.";
        DUPLICATE_NAME = "duplicate_name", "Two things of one kind have the same name.";
        DUPLICATE_ENTRY = "duplicate_entry", "A list holds the same entry twice.";
        DUPLICATE_DIGEST = "duplicate_digest", "Two API keys are the same key.";
        KEY_PLAINTEXT = "key_plaintext", "A key stands where its digest belongs.";
        KEY_EMPTY = "key_empty", "The digest is that of the empty text.";
        KEY_NEVER_VALID = "key_never_valid", "A key expires before it becomes valid.";
        HOST_BITS = "host_bits", "A CIDR has bits set behind its prefix.";
        PROXY_ANY = "proxy_any", "Every address would be a trusted proxy.";
        UNKNOWN_NAME = "unknown_name", "Nothing of that name is defined.";
        COUNTRY_ALLOWED = "country_allowed", "An allow list holds the unknown country.";
        COUNTRY_HEADER_MISSING = "country_header_missing", "Countries count somewhere, but no header tells the country.";
        HEADER_CONFLICT = "header_conflict", "Two uses of one header exclude each other.";
        ROUTE_TIE = "route_tie", "Two routes match the same requests equally well.";
        ROUTE_UNREACHABLE = "route_unreachable", "No request can reach the route.";
        SCOPE_UNHELD = "scope_unheld", "A route requires a scope that no consumer holds.";
        UNUSED = "unused", "Something is defined and never used.";
        CONSUMER_WITHOUT_CREDENTIAL = "consumer_without_credential", "No request can come from this consumer.";
        ISSUER_ALGORITHMS = "issuer_algorithms", "The algorithms of an issuer do not fit together, or not its keys.";
        KEY_SET_INVALID = "key_set_invalid", "A key set in the policy cannot be used.";
        KEY_UNUSABLE = "key_unusable", "A key of a key set in the policy cannot be used.";
        SECRET_UNUSABLE = "secret_unusable", "The environment holds no good secret for an issuer.";
        TOKEN_OWNED_TWICE = "token_owned_twice", "Two consumers claim the same tokens.";
        SCHEDULE_REVERSED = "schedule_reversed", "API keys end before they are deprecated.";
        MORE = "more", "There are more findings than are shown.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_diagnostic_is_one_line() {
        let routes = Place::TOP.field("routes");
        let mut report = Report::default();
        report.warning(code::UNUSED, &Place::TOP, "message", "");
        report.error(
            code::EMPTY,
            &routes.item(3).field("scopes\n"),
            Shown("a\r\nb\u{202e}`"),
            "help",
        );
        let lines: Vec<_> = report.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "error[empty] at /routes/3/scopes\\u{a}: `a\\u{d}\\u{a}b\\u{202e}\\u{60}` (help: help)",
                "warning[unused]: message"
            ]
        );
    }

    #[test]
    fn what_may_be_a_key_is_never_shown() {
        // row: C07
        assert_eq!(Shown("pcl_0123").to_string(), "a text that looks like an API key");
        assert!(Shown(&"x".repeat(100)).to_string().ends_with("x…`"));
    }

    #[test]
    fn findings_are_bounded() {
        let mut report = Report::default();
        (0..MAX_DIAGNOSTICS + 5).for_each(|_| report.warning(code::UNUSED, &Place::TOP, "m", ""));
        let all = report.finish();
        assert_eq!(all.len(), MAX_DIAGNOSTICS + 1);
        assert_eq!(
            all.last().map(|last| last.message.as_str()),
            Some("5 more findings are not shown")
        );
    }
}
