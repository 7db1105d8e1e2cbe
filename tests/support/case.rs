//! The case files: data only, read by every runner.
//!
//! A file has a policy, defaults of its requests and cases; a case is one request, or several `steps`
//! on one clock. `tests/cases/README.md` explains every field.

use crate::{template, token};
use portcullis_core::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    policy: Value,
    #[serde(default)]
    overlay: Option<Value>,
    #[serde(default)]
    defaults: Option<Value>,
    #[serde(default)]
    listener: Listener,
    cases: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    overlay: Option<Value>,
    #[serde(default)]
    listener: Option<Listener>,
    #[serde(default)]
    envoy: OnEnvoy,
    #[serde(default)]
    repaired: bool,
    #[serde(default)]
    alike: bool,
    #[serde(default)]
    request: Option<Value>,
    #[serde(default)]
    expect: Option<Expect>,
    #[serde(default)]
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    reload: Option<Value>,
    #[serde(default)]
    times: Option<u32>,
    #[serde(default)]
    request: Option<Value>,
    expect: Expect,
}

/// How the listener of a case differs from the one that most cases use.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// Whether Envoy takes the caller's address from the connection and adds it to `x-forwarded-for`.
    pub use_remote_address: bool,
}

impl Default for Listener {
    fn default() -> Self {
        Self { use_remote_address: true }
    }
}

/// What the Envoy runner makes of a case.
#[derive(Deserialize, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OnEnvoy {
    /// Every expectation holds.
    #[default]
    Exact,
    /// Envoy may refuse or repair the request itself: only that nothing reached the upstream is asserted.
    Denied,
    /// Not run there, and why.
    Skip(String),
}

/// One case, its defaults and its policy merged in, its templates not yet filled.
#[derive(Clone)]
pub struct Case {
    pub file: String,
    pub name: String,
    pub policy: Value,
    pub listener: Listener,
    pub envoy: OnEnvoy,
    /// Envoy's own protections repair the request, and what is left may be forwarded.
    pub repaired: bool,
    /// The answers to all steps are the same to the caller, but for the request's id.
    pub alike: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone)]
pub struct Step {
    /// Offset from the start of the case, in nanoseconds.
    pub at: u64,
    pub times: u32,
    /// The policy that takes the place of the one before, first of all.
    pub reload: Option<Value>,
    request: Value,
    pub expect: Expect,
}

/// One request as the case writes it; texts still hold their escapes.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    pub host: Option<String>,
    /// Short for the header `x-api-key` with the key of this name.
    pub key: Option<String>,
    /// Short for the header `authorization` with a token after `Bearer`: its text, signed.
    pub token: Option<String>,
    /// Every token that the request holds, wherever it stands.
    #[serde(default, rename = "shown tokens")]
    pub shown_tokens: Vec<String>,
    /// Short for the header `x-forwarded-for`; it stands before all others.
    pub forwarded_for: Option<String>,
    /// So many headers `x-many-N` more.
    #[serde(default)]
    pub many_headers: u32,
    /// Each a line `name: value`; order and duplicates are kept.
    #[serde(default)]
    pub headers: Vec<String>,
    /// `address:port` of the caller's socket; null when the host does not know it.
    pub peer: Option<String>,
    /// The name of the route that Envoy has chosen.
    pub route_name: Option<String>,
    pub body: Option<String>,
    #[serde(default)]
    pub trailers: Vec<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// What must be seen. What is not named is not asserted, but for `status`.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// 200 without `grpc`: the request reached the upstream. Anything else: it did not.
    pub status: u16,
    /// The code in the audit record and in Envoy's response code details.
    pub reason: Option<String>,
    pub grpc: Option<Grpc>,
    /// Response headers: exact value, null when absent, a leading `~` when contained.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Members of the problem body.
    #[serde(default)]
    pub body: Map<String, Value>,
    #[serde(default)]
    pub upstream: Upstream,
    /// Members of the audit record; null when absent or null.
    #[serde(default)]
    pub audit: Map<String, Value>,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    pub status: u8,
    pub message: Option<String>,
}

/// What the upstream must have seen.
#[derive(Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    pub path: Option<String>,
    pub method: Option<String>,
    /// Exact values, joined by `, ` where a header came more than once.
    pub headers: Map<String, Value>,
    pub absent: Vec<String>,
    pub trailers_absent: Vec<String>,
    /// Tokens of the request go on to the upstream. Without this no token may.
    pub keeps_token: bool,
}

impl Case {
    /// Whether requests of this case spend tokens.
    pub fn has_limits(&self) -> bool {
        self.policy.get("limits").is_some()
    }

    /// The policy under a gateway name that no other case has, if it has limits: buckets are keyed by
    /// that name.
    pub fn with_own_buckets(&self) -> Value {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut policy = self.policy.clone();
        if let (true, Some(gateway)) = (self.has_limits(), policy.get_mut("gateway")) {
            *gateway = Value::String(format!("case-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        }
        policy
    }
}

impl Step {
    /// The request of this step, its tokens signed and its templates filled.
    pub fn request(&self, now: Timestamp) -> Request {
        let mut request = self.request.clone();
        let mut shown = Vec::new();
        if let Some(members) = request.as_object_mut() {
            let named = match members.remove("tokens") {
                Some(Value::Object(named)) => named,
                _ => Map::new(),
            };
            let token = members.get("token").filter(|token| !token.is_null());
            if let Some(token) = token.map(|recipe| token::mint(recipe, &named, now)) {
                members.insert("token".to_owned(), json!(token));
                shown.push(token);
            }
            for (name, value) in members.iter_mut().filter(|(name, _)| *name != "token") {
                assert_ne!(name, "shown tokens", "a name that no file can use");
                shown.extend(token::expand(value, &named, now));
            }
            members.insert("shown tokens".to_owned(), json!(shown));
        }
        serde_json::from_value(template::fill_value(request, now))
            .unwrap_or_else(|fault| panic!("{fault} in {}", self.request))
    }
}

/// The folder of the case files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every YAML file of a folder, by name, parsed.
pub fn yaml_files(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()))
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files.iter().map(|path| (stem(path), yaml(path))).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file name").to_string_lossy().into_owned()
}

fn yaml(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    // The files are ours: however often they repeat what they expect, they may.
    let options = serde_saphyr::options! { budget: None };
    serde_saphyr::from_str_with_options(&text, options)
        .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// Every case of every file, in order.
pub fn all() -> Vec<Case> {
    yaml_files(&folder()).into_iter().flat_map(|(name, value)| cases_of(&name, value)).collect()
}

fn cases_of(file: &str, value: Value) -> Vec<Case> {
    let written: File =
        serde_json::from_value(value).unwrap_or_else(|fault| panic!("{file}: {fault}"));
    let mut policy = policy_named(&written.policy);
    merge(&mut policy, written.overlay.unwrap_or(Value::Null));
    let mut defaults = json!({
        "host": "api.example.com", "path": "/orders/1",
        "peer": "10.0.0.1:40000", "forwarded_for": "198.51.100.7",
    });
    merge(&mut defaults, written.defaults.unwrap_or(Value::Null));
    written
        .cases
        .into_iter()
        .map(|case| {
            let mut policy = policy.clone();
            merge(&mut policy, case.overlay.unwrap_or(Value::Null));
            let mut common = defaults.clone();
            merge(&mut common, case.request.unwrap_or(Value::Null));
            let steps = if let Some(expect) = case.expect {
                vec![Step { at: 0, times: 1, reload: None, request: common, expect }]
            } else {
                let mut newest = policy.clone();
                case.steps.into_iter().map(|step| step.merged(&common, &mut newest)).collect()
            };
            assert!(!steps.is_empty(), "{file}: `{}` expects nothing", case.name);
            Case {
                file: file.to_owned(),
                name: case.name,
                policy,
                listener: case.listener.unwrap_or_else(|| written.listener.clone()),
                envoy: case.envoy,
                repaired: case.repaired,
                alike: case.alike,
                steps,
            }
        })
        .collect()
}

impl WrittenStep {
    /// The step with what all have in common, and the newest policy with what the step changes of it.
    fn merged(self, common: &Value, newest: &mut Value) -> Step {
        let mut request = common.clone();
        merge(&mut request, self.request.unwrap_or(Value::Null));
        let reload = self.reload.map(|overlay| {
            merge(newest, overlay);
            newest.clone()
        });
        Step {
            at: self.at.map_or(0, |at| template::nanos(&at)),
            times: self.times.unwrap_or(1),
            reload,
            request,
            expect: self.expect,
        }
    }
}

/// A policy written in place, or one of `cases/policies` by its name.
pub fn policy_named(written: &Value) -> Value {
    match written {
        Value::String(name) => yaml(&folder().join("policies").join(format!("{name}.yaml"))),
        other => other.clone(),
    }
}

/// JSON merge patch (RFC 7396), but that a null patch as a whole changes nothing, and that a map of
/// patches on a list of things with names changes those things.
pub fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Array(items), Value::Object(patches)) if is_by_name(items, &patches) => {
            for (name, patch) in patches {
                let is_it = |item: &Value| item["name"] == name;
                match items.iter().position(is_it) {
                    Some(at) if patch.is_null() => drop(items.remove(at)),
                    Some(at) => merge(&mut items[at], patch),
                    None => panic!("nothing in the list is called `{name}`"),
                }
            }
        }
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(&name);
                } else {
                    merge(target.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

fn is_by_name(items: &[Value], patches: &Map<String, Value>) -> bool {
    let has_name = |item: &Value| item.get("name").is_some_and(Value::is_string);
    !items.is_empty()
        && items.iter().all(has_name)
        && !patches.is_empty()
        && patches.values().all(|patch| patch.is_object() || patch.is_null())
}
