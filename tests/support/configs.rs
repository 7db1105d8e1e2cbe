//! Policies that must be refused, or taken, and what is said of them: the files of `cases/config`.

use crate::case::{folder, merge, policy_named, yaml_files};
use crate::template;
use portcullis_core::Timestamp;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: Value,
    cases: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    overlay: Option<Value>,
    /// The configuration itself, with escapes, in place of a policy.
    #[serde(default)]
    text: Option<String>,
    expect: Expect,
}

/// What must be said of a policy.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub accepted: bool,
    pub code: Option<String>,
    /// A JSON pointer; with a leading `~`, its beginning.
    pub place: Option<String>,
    /// With a leading `~`, a part of the help.
    pub help: Option<String>,
}

/// One policy, its templates filled.
#[derive(Clone)]
pub struct ConfigCase {
    pub name: String,
    /// What goes to the filter as text.
    pub text: Vec<u8>,
    /// The same as a document; none where the text is no document.
    pub document: Option<Value>,
    pub expect: Expect,
}

/// A finding as the core and `portcullis check` give it.
pub struct Finding {
    pub code: String,
    pub place: String,
    pub help: String,
    pub is_error: bool,
}

/// Every case of every file of `cases/config`.
pub fn all(now: Timestamp) -> Vec<ConfigCase> {
    let files = yaml_files(&folder().join("config"));
    files.into_iter().flat_map(|(name, value)| cases_of(&name, value, now)).collect()
}

fn cases_of(file: &str, value: Value, now: Timestamp) -> Vec<ConfigCase> {
    let written: File =
        serde_json::from_value(value).unwrap_or_else(|fault| panic!("{file}: {fault}"));
    let base = policy_named(&written.policy);
    let make = |case: Written| {
        let (text, document) = if let Some(text) = case.text {
            (template::bytes(&template::fill(&text, now)), None)
        } else {
            let mut policy = base.clone();
            merge(&mut policy, case.overlay.unwrap_or(Value::Null));
            let policy = template::fill_value(policy, now);
            (policy.to_string().into_bytes(), Some(policy))
        };
        ConfigCase { name: format!("{file}: {}", case.name), text, document, expect: case.expect }
    };
    written.cases.into_iter().map(make).collect()
}

impl Expect {
    /// Holds the findings about a policy against what must be said of it.
    pub fn check(&self, accepted: bool, findings: &[Finding]) -> Result<(), String> {
        let shown: Vec<_> =
            findings.iter().map(|it| format!("{} at {}", it.code, it.place)).collect();
        if accepted != self.accepted {
            return Err(format!("accepted: {accepted}; {shown:?}"));
        }
        let fits = |want: &Option<String>, got: &str, part: fn(&str, &str) -> bool| match want {
            None => true,
            Some(want) => want.strip_prefix('~').map_or(want == got, |want| part(got, want)),
        };
        let found = findings.iter().any(|it| {
            fits(&self.code, &it.code, |got, want| got == want)
                && fits(&self.place, &it.place, |got, want| got.starts_with(want))
                && fits(&self.help, &it.help, |got, want| got.contains(want))
                && it.is_error
        });
        if self.accepted || found { Ok(()) } else { Err(format!("{shown:?}")) }
    }
}
