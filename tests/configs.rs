//! Every policy of `cases/config` against the core, and against the module as text and as a Struct:
//! all three must refuse with the same words.

use libtest_mimic::{Arguments, Trial};
use portcullis_core::Policy;
use portcullis_core::config::Severity;
use portcullis_tests::configs::{self, ConfigCase, Finding};
use portcullis_tests::fake_host::{Process, Vm};
use portcullis_tests::policy::as_struct;
use portcullis_tests::template::{FIXED_NOW, api_key};

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
    let compiled = Policy::compile(source);
    let words = compiled.diagnostics.iter().map(ToString::to_string).collect();
    let findings = compiled.diagnostics.iter().map(|it| Finding {
        code: it.code.to_owned(),
        place: it.place.clone(),
        help: it.help.clone(),
        is_error: it.severity == Severity::Error,
    });
    (compiled.policy.is_some(), findings.collect(), words)
}

/// The module takes or refuses the bytes, and its log has the words that the core has for the text.
fn in_wasm(case: &ConfigCase, bytes: &[u8], text: &[u8]) -> Result<(), String> {
    let configured = Vm::new(&Process::at(FIXED_NOW.unix_nanos())).configure(bytes);
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

/// C07
fn holds_no_secret(lines: &[String]) -> Result<(), String> {
    let key = api_key("alpha");
    let secret = key.trim_start_matches("pcl_");
    lines.iter().find(|line| line.contains(secret)).map_or(Ok(()), |line| Err(line.clone()))
}
