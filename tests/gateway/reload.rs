//! A broken policy is refused in the same words by the core, by `portcullis check`, by
//! `envoy --mode validate` and by a running Envoy, which keeps the policy that it has; a good one is in
//! force on every worker.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_core::config::Severity;
use portcullis_tests::bootstrap::{self, Listener, Policy};
use portcullis_tests::case::{merge, policy_named};
use portcullis_tests::configs::{self, ConfigCase};
use portcullis_tests::envoy::{Envoy, binary, module, new_folder, root};
use portcullis_tests::template::{api_key, real_now};
use portcullis_tests::token::mint;
use portcullis_tests::upstream::Upstream;
use serde_json::{Map, Value, json};

use super::limits::{allowed, limited};
use super::support::{connect, get, listener, reference};

/// C01-C07, W20: the whole catalogue of broken policies, sent to one running Envoy.
#[test]
fn a_running_envoy_keeps_the_policy_that_it_has() {
    let (envoy, lds) = with_lds(&reference());
    let folder = envoy.folder.clone();
    let address = envoy.listeners["only"];
    let cases: Vec<_> =
        configs::all(real_now()).into_iter().filter(|case| !case.expect.accepted).collect();
    assert!(cases.len() > 50);
    for (number, case) in cases.iter().enumerate() {
        let Some(policy) = policy_of(case) else { continue };
        let rejected = counter(&envoy, "listener_manager.lds.update_rejected");
        let known = envoy.own_log().len();
        write_lds(&lds, &Listener { policy, ..listener(&reference()) }, number + 1, &folder);
        let more = || counter(&envoy, "listener_manager.lds.update_rejected") > rejected;
        wait(&case.name, more);
        let log = envoy.own_log().split_off(known);
        for words in words_of(case) {
            assert!(log.contains(&words), "{}: `{words}` is not in {}", case.name, log);
        }
        assert!(!log.contains(api_key("alpha").trim_start_matches("pcl_")), "{}", case.name);
    }
    let key = format!("x-api-key: {}", api_key("alpha"));
    let lines: [&[u8]; 2] = [key.as_bytes(), b"x-forwarded-for: 198.51.100.7"];
    assert_eq!(get(&mut connect(address), "/orders/1", &lines).status, 200);
    assert_eq!(get(&mut connect(address), "/orders/1", &lines[1..]).status, 401);
}

/// J72: a token that every worker knows is refused by each as soon as the policy revokes it, or is
/// without its key, and good again when the policy is.
#[test]
fn a_reload_takes_a_token_from_every_worker() {
    let policy = policy_named(&json!("tokens"));
    let (mut envoy, lds) = with_lds(&policy);
    let stolen = mint(&json!({"claims": {"jti": "stolen"}}), &Map::new(), real_now());
    let line = format!("authorization: Bearer {stolen}");
    let statuses = |envoy: &Envoy| {
        let address = envoy.listeners["only"];
        let ask = |_| {
            let lines: [&[u8]; 2] = [line.as_bytes(), b"x-forwarded-for: 198.51.100.7"];
            get(&mut connect(address), "/orders/1", &lines).status
        };
        // Connections go to workers at random: this many miss one of two once in a million runs.
        let all: BTreeSet<u16> = (0..20).map(ask).collect();
        all.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(statuses(&envoy), [200]);
    let changes = [
        (json!({"issuers": {"main": {"revoked": [{"token": "stolen"}]}}}), 401),
        (json!({"issuers": {"main": {"revoked": [{"token": "other"}]}}}), 200),
        (json!({"issuers": {"main": {"keys": {"jwks": "{{jwks:ec-2,rsa-1}}"}}}}), 401),
        (json!({"issuers": {"main": {"revoked": [{"all": true}]}}}), 401),
        (json!({}), 200),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        let mut policy = policy.clone();
        merge(&mut policy, change.clone());
        let before = counter(&envoy, "listener_manager.lds.update_success");
        write_lds(&lds, &listener(&policy), number + 1, &envoy.folder);
        wait("the update", || counter(&envoy, "listener_manager.lds.update_success") > before);
        envoy.find_listeners().unwrap();
        // Each worker takes it up in its own time; from then on all new connections have it.
        wait(&change.to_string(), || statuses(&envoy) == [expected]);
        assert_eq!(statuses(&envoy), [expected], "{change}");
    }
}

/// What was used of a quota is used under the next policy, too, and under one that admits more.
#[test]
fn a_reload_keeps_what_was_used_of_a_quota() {
    let policy = limited(&json!({"key": ["consumer"], "quota": "20/year"}));
    let (mut envoy, lds) = with_lds(&policy);
    assert_eq!(allowed(envoy.listeners["only"], 12), 12);
    let mut next = policy;
    merge(&mut next, json!({"realm": "next", "limits": {"one": {"quota": "25/year"}}}));
    write_lds(&lds, &listener(&next), 1, &envoy.folder);
    // Which policy answers, a request without a key can tell.
    let is_next = |envoy: &Envoy| {
        let answer = get(&mut connect(envoy.listeners["only"]), "/x", &[]);
        let challenge = answer.headers.iter().find(|(name, _)| name == b"www-authenticate");
        challenge.is_some_and(|(_, value)| value.ends_with(b"\"next\""))
    };
    wait("the update", || envoy.find_listeners().is_ok() && (0..20).all(|_| is_next(&envoy)));
    assert_eq!(allowed(envoy.listeners["only"], 30), 13);
}

/// C01: `envoy --mode validate` refuses what `portcullis check` refuses, and says the same.
#[test]
fn envoy_validates_in_the_same_words() {
    let cases = configs::all(real_now());
    let some = ["an unknown field", "two routes that match the same", "bits behind the prefix"];
    for name in some {
        let case = cases.iter().find(|case| case.name.ends_with(name)).unwrap();
        let folder = new_folder();
        let broken = Listener { policy: policy_of(case).unwrap(), ..listener(&reference()) };
        let address = "127.0.0.1:9".parse().unwrap();
        let config =
            bootstrap::bootstrap(&[broken], address, &module(), &folder.join("access.log"));
        let file = folder.join("envoy.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let output = Command::new(binary())
            .args(["--mode", "validate", "--disable-hot-restart", "--config-path"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{name} is taken");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for words in words_of(case) {
            assert!(said.contains(&words), "`{words}` is not in {said}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// C01: the command-line companion finds the same in a file, and gives an exit code for it.
#[test]
fn the_companion_checks_in_the_same_words() {
    let folder = new_folder();
    for case in configs::all(real_now()) {
        let Some(document) = &case.document else { continue };
        // Only the filter knows Envoy's environment.
        if case.expect.code.as_deref() == Some("secret_unusable") {
            continue;
        }
        let file = folder.join("policy.json");
        std::fs::write(&file, document.to_string()).unwrap();
        let companion = root().join("target/debug/portcullis");
        let output = Command::new(&companion).arg("check").arg(&file).output();
        let output = output
            .unwrap_or_else(|fault| panic!("{}: {fault}; run cargo build", companion.display()));
        assert_eq!(output.status.success(), case.expect.accepted, "{}", case.name);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        for diagnostic in portcullis_core::Policy::compile(&case.text).diagnostics {
            for words in [diagnostic.code, &diagnostic.message, &diagnostic.help] {
                assert!(said.contains(words), "{}: `{words}` is not in {said}", case.name);
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// What the core says of a policy: its errors, each on one line.
fn words_of(case: &ConfigCase) -> Vec<String> {
    let compiled = portcullis_core::Policy::compile(&case.text);
    let errors = compiled.diagnostics.into_iter().filter(|it| it.severity == Severity::Error);
    errors.map(|it| it.to_string()).collect()
}

/// As a Struct where it is a document; as text otherwise, if Envoy's own configuration can hold that.
fn policy_of(case: &ConfigCase) -> Option<Policy> {
    match &case.document {
        Some(document) => Some(Policy::Struct(document.clone())),
        None => String::from_utf8(case.text.clone()).ok().map(Policy::Text),
    }
}

/// An Envoy with two workers that takes its only listener from a file, and the file.
fn with_lds(policy: &Value) -> (Envoy, PathBuf) {
    let folder = new_folder();
    let lds = folder.join("lds.json");
    let upstream = Upstream::start();
    write_lds(&lds, &listener(policy), 0, &folder);
    let config = json!({
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": bootstrap::address("127.0.0.1:0".parse().unwrap())},
        "dynamic_resources": {"lds_config": {"path_config_source": {"path": lds}}},
        "static_resources": {"clusters": [bootstrap::cluster(upstream.address)]},
    });
    let mut envoy = Envoy::start_with(&config, 2, folder, upstream).unwrap();
    wait("the first listener", || envoy.find_listeners().is_ok() && !envoy.listeners.is_empty());
    (envoy, lds)
}

/// Puts a listener in place of the last one, in one step, as Envoy demands.
fn write_lds(path: &Path, listener: &Listener, version: usize, folder: &Path) {
    let mut resource = bootstrap::listener(listener, &module(), &folder.join("access.log"));
    resource["@type"] = Value::from("type.googleapis.com/envoy.config.listener.v3.Listener");
    let answer = json!({"version_info": version.to_string(), "resources": [resource]});
    let new = path.with_extension("new");
    std::fs::write(&new, answer.to_string()).unwrap();
    std::fs::rename(&new, path).unwrap();
}

fn counter(envoy: &Envoy, name: &str) -> u64 {
    let answer = envoy.ask(&format!("/stats?filter=^{name}$")).unwrap();
    answer.trim().rsplit(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !there() {
        assert!(Instant::now() < end, "{what}: waited 20 seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}
