//! Every policy of `cases/config` against the core, and against the module as text and as a Struct:
//! all three must refuse with the same words.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::cell::RefCell;

use libtest_mimic::{Arguments, Trial};
use portcullis_core::Policy;
use portcullis_core::config::{Compiled, Severity};
use portcullis_tests::configs::{self, ConfigCase, Finding};
use portcullis_tests::fake_host::{Process, Vm};
use portcullis_tests::policy::{as_struct, tokens_or_findings};
use portcullis_tests::template::{FIXED_NOW, api_key};
use portcullis_tests::token::keys;
use serde_json::Value;

fn main() {
    let mut trials = Vec::new();
    for case in configs::all(FIXED_NOW) {
        let natively = case.clone();
        trials.push(Trial::test(format!("natively, {}", case.name), move || {
            let (accepted, findings, words) = compile(&natively.text);
            natively.expect.check(accepted, &findings)?;
            Ok(holds_no_secret(&words)?)
        }));
        let name = format!("as text in wasm, {}", case.name);
        trials.push(Trial::test(name, move || Ok(in_wasm(&case, &case.text, &case.text)?)));
    }
    for case in configs::all(FIXED_NOW) {
        let Some(document) = &case.document else { continue };
        let bytes = as_struct(document);
        let name = format!("as a Struct in wasm, {}", case.name);
        trials.push(Trial::test(name, move || {
            let (accepted, findings, _) = compile(&bytes);
            case.expect.check(accepted, &findings)?;
            Ok(in_wasm(&case, &bytes, &case.text)?)
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn compile(source: &[u8]) -> (bool, Vec<Finding>, Vec<String>) {
    let Compiled { policy, mut diagnostics } = Policy::compile(source);
    // What the environment has is no part of the policy; the filter looks at it next.
    let secrets = policy.as_ref().and_then(|policy| tokens_or_findings(policy).err());
    let accepted = policy.is_some() && secrets.is_none();
    diagnostics.extend(secrets.unwrap_or_default());
    let words = diagnostics.iter().map(ToString::to_string).collect();
    let findings = diagnostics.iter().map(|it| Finding {
        code: it.code.to_owned(),
        place: it.place.clone(),
        help: it.help.clone(),
        is_error: it.severity == Severity::Error,
    });
    (accepted, findings.collect(), words)
}

/// The module takes or refuses the bytes, and its log has the words that the core has for the text.
fn in_wasm(case: &ConfigCase, bytes: &[u8], text: &[u8]) -> Result<(), String> {
    thread_local! {
        /// One VM a thread: its first policy takes longer than all others.
        static VM: RefCell<Vm> = {
            let process = Process::at(FIXED_NOW.unix_nanos());
            process.set_environment(keys::environment());
            RefCell::new(Vm::new(&process))
        };
    }
    let configured = VM.with_borrow_mut(|vm| vm.configure(bytes));
    if configured.accepted != case.expect.accepted {
        return Err(format!("accepted: {}; {:?}", configured.accepted, configured.log));
    }
    holds_no_secret(&configured.log)?;
    for words in compile(text).2 {
        if !configured.log.iter().any(|line| line.contains(&words)) {
            return Err(format!("`{words}` is not in {:?}", configured.log));
        }
    }
    Ok(())
}

/// C07: no API key, no private key and no secret of the environment is in any word.
fn holds_no_secret(lines: &[String]) -> Result<(), String> {
    let key = api_key("alpha");
    let mut secrets = vec![key.trim_start_matches("pcl_").to_owned()];
    secrets.extend(keys::environment().into_iter().map(|(_, value)| value));
    for name in ["ec-1", "rsa-1"] {
        let key: Value = serde_json::from_str(&keys::private(name)).expect("a key is JSON");
        secrets.push(key["d"].as_str().unwrap_or_default().to_owned());
    }
    // Messages cut what they show, so the beginning of a secret counts as all of it.
    let mut secrets = secrets.iter().filter_map(|secret| secret.get(..16));
    let has = |secret: &&str| lines.iter().any(|line| line.contains(secret));
    secrets.find(has).map_or(Ok(()), |_| Err(format!("a secret is in {lines:?}")))
}
