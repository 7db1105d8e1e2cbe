//! Where the policies of a file stand: the file itself, or the configurations of Wasm plugins in it.

use std::borrow::Cow;

use portcullis_core::Policy;
use portcullis_core::config::{self, Compiled};

use crate::read::{Dialect, Mark, Notation, Scalar, Source, Style, Tree, parse};

/// A policy as it stands in a file.
pub(crate) struct Found<'s> {
    /// Which document of the file, from 0.
    pub(crate) document: usize,
    /// Where the policy is in that document, as a JSON pointer.
    pub(crate) pointer: String,
    /// What holds it; `None` when the document is the policy.
    pub(crate) plugin: Option<Plugin<'s>>,
    /// Its values, with the places they have in the file.
    pub(crate) content: Cow<'s, Tree>,
    form: Form<'s>,
}

/// The plugin configuration around a policy.
#[derive(Clone)]
pub(crate) struct Plugin<'s> {
    pub(crate) pointer: String,
    pub(crate) tree: &'s Tree,
    pub(crate) host: Host,
}

/// Whose configuration language a plugin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Envoy,
    Istio,
    EnvoyGateway,
}

/// What reaches the filter: values, or a text that it reads itself.
enum Form<'s> {
    Values(Dialect),
    Text(&'s str),
}

impl Found<'_> {
    /// Compiles the policy from what the filter would be given.
    pub(crate) fn compile(&self) -> Compiled {
        match self.form {
            Form::Values(dialect) => config::compile(&self.content.node(dialect)),
            Form::Text(text) => Policy::compile(text.as_bytes()),
        }
    }

    /// Whether the policy is a whole file of JSON, which the core reads itself.
    pub(crate) fn is_json_file(&self) -> bool {
        self.plugin.is_none() && matches!(self.form, Form::Text(_))
    }

    /// Where the policy begins.
    pub(crate) fn mark(&self) -> Mark {
        self.content.mark
    }

    /// Whether something at `pointer` of `document` is within this policy's plugin, or around it.
    pub(crate) fn is_within(&self, document: usize, pointer: &str) -> bool {
        self.document == document
            && self.pointer.strip_prefix(pointer).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Every policy of a file, in the order in which they stand there.
pub(crate) fn find(source: &Source) -> Vec<Found<'_>> {
    let mut all = Vec::new();
    for (document, tree) in source.documents.iter().enumerate() {
        let before = all.len();
        let json = source.notation == Notation::Json || is_kubernetes(tree);
        let dialect = if json { Dialect::Json } else { Dialect::Envoy };
        tree.visit(&mut String::new(), &mut |pointer, tree| {
            let held = plugins(pointer, tree).into_iter();
            all.extend(held.filter_map(|plugin| policy_in(document, plugin, dialect)));
        });
        let only = source.documents.len() == 1 && !is_kubernetes(tree) && !is_envoy(tree);
        if all.len() == before && (only || looks_like_policy(tree)) {
            let form = match source.notation {
                Notation::Json => Form::Text(&source.text),
                Notation::Yaml => Form::Values(dialect),
            };
            let content = Cow::Borrowed(tree);
            all.push(Found { document, pointer: String::new(), plugin: None, content, form });
        }
    }
    all
}

/// The plugin configurations that a value is, or (in Kubernetes) names by its kind.
pub(crate) fn plugins<'s>(pointer: &str, tree: &'s Tree) -> Vec<Plugin<'s>> {
    let plugin =
        |path: &str, tree, host| Plugin { pointer: format!("{pointer}{path}"), tree, host };
    let kind = tree.member("kind").and_then(Tree::text);
    match (kind, tree.member("spec")) {
        (Some("WasmPlugin"), Some(spec)) => vec![plugin("/spec", spec, Host::Istio)],
        (Some("TrafficExtension"), Some(spec)) => {
            let wasm = spec.member("wasm");
            wasm.map(|wasm| plugin("/spec/wasm", wasm, Host::Istio)).into_iter().collect()
        }
        (Some("EnvoyExtensionPolicy"), Some(spec)) => {
            let wasm = spec.member("wasm").map(Tree::items).unwrap_or_default();
            let numbered = wasm.iter().enumerate();
            numbered
                .map(|(at, wasm)| plugin(&format!("/spec/wasm/{at}"), wasm, Host::EnvoyGateway))
                .collect()
        }
        _ if tree.field("vm_config").is_some()
            || !any_type(tree.field("configuration")).is_empty() =>
        {
            vec![plugin("", tree, Host::Envoy)]
        }
        _ => Vec::new(),
    }
}

/// The policy that a plugin is configured with, unless it is some other plugin.
fn policy_in(document: usize, plugin: Plugin<'_>, dialect: Dialect) -> Option<Found<'_>> {
    let (path, policy) = match plugin.host {
        Host::Envoy => ("/configuration/value", plugin.tree.path(&["configuration", "value"])?),
        Host::Istio => ("/pluginConfig", plugin.tree.member("pluginConfig")?),
        Host::EnvoyGateway => ("/config", plugin.tree.member("config")?),
    };
    let is_text = plugin.host == Host::Envoy
        && any_type(plugin.tree.field("configuration")) == "google.protobuf.StringValue";
    let (content, form) = match policy.scalar() {
        Some(scalar) if is_text => (text_content(policy, scalar), Form::Text(&scalar.text)),
        _ => (Cow::Borrowed(policy), Form::Values(dialect)),
    };
    let pointer = format!("{}{path}", plugin.pointer);
    let ours = looks_like_policy(&content) || names_portcullis(plugin.tree);
    ours.then_some(Found { document, pointer, plugin: Some(plugin), content, form })
}

/// The values in a JSON text, with their places in the file where the text stands there as it is.
fn text_content<'s>(tree: &'s Tree, scalar: &Scalar) -> Cow<'s, Tree> {
    let start = tree.mark;
    let parsed = parse(&scalar.text, Notation::Json).ok().and_then(|all| all.into_iter().next());
    parsed.map_or(Cow::Borrowed(tree), |mut content| {
        content.move_marks(&|mark| match scalar.style {
            // Every line of a literal block is indented alike.
            Style::Literal => Mark {
                line: start.line.saturating_add(mark.line).saturating_sub(1),
                column: start.column.saturating_add(mark.column).saturating_sub(1),
            },
            Style::Plain | Style::Tagged | Style::Quoted => start,
        });
        Cow::Owned(content)
    })
}

/// The message type of a `google.protobuf.Any`, empty where it is none.
pub(crate) fn any_type(any: Option<&Tree>) -> &str {
    let url = any.and_then(|any| any.member("@type")).and_then(Tree::text).unwrap_or("");
    url.rsplit('/').next().unwrap_or("")
}

/// At least two of the fields that every policy has, or that no other configuration has.
fn looks_like_policy(tree: &Tree) -> bool {
    const TELLING: [&str; 9] = [
        "version",
        "gateway",
        "routes",
        "consumers",
        "client_address",
        "api_key",
        "identity_headers",
        "global_limits",
        "networks",
    ];
    TELLING.iter().filter(|name| tree.member(name).is_some()).count() >= 2
}

/// Whether the name, the identifiers or the module of a plugin say that it is this filter.
fn names_portcullis(plugin: &Tree) -> bool {
    let mut named = false;
    for part in plugin.members() {
        if !matches!(part.name.as_str(), "configuration" | "pluginConfig" | "config") {
            part.value.visit(&mut String::new(), &mut |_, tree| {
                named |= tree.text().is_some_and(|text| text.contains("portcullis"));
            });
        }
    }
    named
}

fn is_kubernetes(tree: &Tree) -> bool {
    tree.member("apiVersion").is_some() && tree.member("kind").is_some()
}

/// Whether a document is a bootstrap, a resource or a part of one.
fn is_envoy(tree: &Tree) -> bool {
    const TELLING: [&str; 10] = [
        "@type",
        "static_resources",
        "dynamic_resources",
        "resources",
        "admin",
        "node",
        "filter_chains",
        "http_filters",
        "virtual_hosts",
        "typed_config",
    ];
    TELLING.iter().any(|name| tree.field(name).is_some())
}
