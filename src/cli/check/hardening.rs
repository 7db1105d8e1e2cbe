//! What a connection manager should do before the filter sees a request.
//!
//! The filter is safe without it: it refuses what it cannot read one way only. With it, what the
//! filter decided on is what the upstream is sent.

use crate::read::Tree;

use super::envoy::Manager;
use super::finding::{Code, Findings, code};

/// A setting, the values that will do, and what is said where it has none of them.
struct Setting {
    path: &'static [&'static str],
    /// By name, and by number where it is an enumeration.
    good: &'static [&'static str],
    code: Code,
    message: &'static str,
}

const SETTINGS: [Setting; 5] = [
    Setting {
        path: &["normalize_path"],
        good: &["true"],
        code: code::NORMALIZE_PATH_OFF,
        message: "the path is not normalised before it is routed",
    },
    Setting {
        path: &["merge_slashes"],
        good: &["true"],
        code: code::MERGE_SLASHES_OFF,
        message: "slashes in a row are not merged before the path is routed",
    },
    Setting {
        path: &["path_with_escaped_slashes_action"],
        good: &["REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "2", "3"],
        code: code::ESCAPED_SLASHES_KEPT,
        message: "paths with escaped slashes are let through",
    },
    Setting {
        path: &["common_http_protocol_options", "headers_with_underscores_action"],
        good: &["REJECT_REQUEST", "DROP_HEADER", "1", "2"],
        code: code::UNDERSCORES_ALLOWED,
        message: "headers with underscores are let through",
    },
    Setting {
        path: &["strip_trailing_host_dot"],
        good: &["true"],
        code: code::TRAILING_HOST_DOT_KEPT,
        message: "a host with a trailing dot is routed as another host",
    },
];

pub(super) fn check(manager: &Manager<'_>, findings: &mut Findings) {
    for setting in &SETTINGS {
        let value = manager.tree.path(setting.path).and_then(Tree::text);
        if !value.is_some_and(|value| setting.good.contains(&value)) {
            let path = value.map_or(String::new(), |_| format!("/{}", setting.path.join("/")));
            findings.warning(manager.site(), &path, setting.code, setting.message.to_owned());
        }
    }
    let bounded = manager.tree.path(&["common_http_protocol_options", "max_stream_duration"]);
    if bounded.is_none() {
        let message = "nothing bounds how long a stream may live".to_owned();
        findings.warning(manager.site(), "", code::STREAMS_UNBOUNDED, message);
    }
}
