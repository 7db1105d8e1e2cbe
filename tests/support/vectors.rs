//! Public test data of others, where it stands beside the project: one printed line where it does not.
//!
//! `PORTCULLIS_VECTORS` names the folder; the default is `shared/vectors` beside the project's own.

use std::path::PathBuf;

use serde_json::Value;

use crate::envoy::root;

/// A folder of test data, if it is there.
pub fn folder(name: &str) -> Option<PathBuf> {
    let base = std::env::var_os("PORTCULLIS_VECTORS")
        .map_or_else(|| root().join("../shared/vectors"), PathBuf::from);
    let folder = base.join(name);
    if !folder.is_dir() {
        println!("skipped: no test data at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// A file of such a folder, read as JSON.
pub fn document(name: &str, file: &str) -> Option<Value> {
    let text = std::fs::read(folder(name)?.join(file)).expect("a file");
    Some(serde_json::from_slice(&text).expect("JSON"))
}
