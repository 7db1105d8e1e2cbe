//! The probe in a real Envoy: both verifiers of the filter asked the same, where they work.

use crate::bootstrap::{self, Listener, Policy};
use crate::case;
use crate::envoy::{binary, new_folder, root};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Envoy verifies, in the probe's words.
pub const NATIVE: &str =
    "probe: signatures are verified by Envoy for RS256, RS384, RS512, ES256, ES384";

/// The probe: `PORTCULLIS_PROBE`, or the one that cargo builds.
fn module() -> PathBuf {
    std::env::var_os("PORTCULLIS_PROBE").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR");
            let target = target.map_or_else(|| root().join("target"), PathBuf::from);
            target.join("wasm32-wasip1/release/portcullis_probe.wasm")
        },
        PathBuf::from,
    )
}

/// Runs groups of signatures, as `probe/lib.rs` has them, through both verifiers in an Envoy that ends
/// when it is configured. Gives the letters of each group by its name.
pub fn letters(groups: &[Value]) -> HashMap<String, String> {
    let log = run(groups);
    assert!(log.contains(NATIVE), "{}", tail(&log));
    let mut all = HashMap::new();
    for line in log.lines() {
        let Some((_, result)) = line.split_once("probe of ") else { continue };
        let (name, letters) = result.rsplit_once(": ").expect("a name and letters");
        let before = all.insert(name.to_owned(), letters.trim_end_matches('.').to_owned());
        assert!(before.is_none(), "{name} has two answers");
    }
    for group in groups {
        let name = group["name"].as_str().expect("a name");
        assert!(all.contains_key(name), "no answer for {name}: {}", tail(&log));
    }
    all
}

/// Envoy's log of one run.
fn run(groups: &[Value]) -> String {
    let module = module();
    assert!(module.is_file(), "{} is missing: run scripts/test envoy", module.display());
    let folder = new_folder();
    let listener = Listener {
        name: "only".to_owned(),
        policy: Policy::Text(Value::from(groups).to_string()),
        options: case::Listener::default(),
        hardened: false,
        route_names: Vec::new(),
    };
    let nowhere = "127.0.0.1:1".parse().expect("an address");
    let config = bootstrap::bootstrap(&[listener], nowhere, &module, Path::new("/dev/null"));
    let file = folder.join("envoy.json");
    std::fs::write(&file, config.to_string()).expect("a file in a new folder");
    let output = Command::new(binary())
        .args(["--mode", "validate", "--log-level", "info", "--config-path"])
        .arg(&file)
        .output()
        .unwrap_or_else(|fault| panic!("cannot start {}: {fault}", binary().display()));
    let _ = std::fs::remove_dir_all(&folder);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}", tail(&log));
    log
}

/// The end of a log: a line of it can be very long.
fn tail(log: &str) -> String {
    let lines: Vec<String> = log.lines().map(|line| line.chars().take(400).collect()).collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
