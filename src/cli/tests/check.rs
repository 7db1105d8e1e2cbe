use crate::support::{File, KEY, check, policy, run};

#[test]
fn a_sound_policy_passes() {
    let ran = run(&["check", "-", "--deny-warnings"], &policy());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.starts_with("-:1:1: policy `external` compiles, revision "), "{}", ran.out);
    assert!(ran.out.ends_with("1 policy, 0 errors, 0 warnings\n"), "{}", ran.out);
}

#[test]
fn yaml_and_json_have_one_revision() {
    let json = r#"{"routes": [{"access": "public", "methods": ["GET"], "paths": ["/a"], "name": "a"}],
        "gateway": "g", "version": 1}"#;
    let yaml = "version: 1\ngateway: g\nroutes: [{name: a, paths: [/a], methods: [GET], access: public}]\n";
    let revision = |text| {
        check(text).out.lines().next().map(|line| line.rsplit(' ').next().map(str::to_owned))
    };
    assert_eq!(revision(json), revision(yaml));
}

#[test]
fn every_finding_has_its_line_in_the_words_of_the_core() {
    let text = policy().replace("methods: [GET], access", "method: [GET], access");
    let ran = check(&text);
    assert_eq!(ran.code, 1);
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].starts_with("-:14:5: error[missing_field] at /routes/0: "), "{}", ran.out);
    assert!(
        lines[1].starts_with("-:14:39: error[unknown_field] at /routes/0/method: "),
        "{}",
        ran.out
    );
    assert!(lines[1].contains("`methods`"), "{}", ran.out);
    assert_eq!(lines[2], "1 policy, 2 errors, 0 warnings");
}

#[test]
fn findings_as_json() {
    let text = policy().replace("deny: [abusive]", "deny: [abusiv]");
    let ran = run(&["check", "--format", "json", "-"], &text);
    assert_eq!(ran.code, 1);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("json");
    assert_eq!(report["errors"], 1);
    assert_eq!(report["policies"][0]["gateway"], serde_json::Value::Null);
    let finding = report["diagnostics"].as_array().expect("a list");
    let finding = finding.iter().find(|finding| finding["severity"] == "error").expect("an error");
    assert_eq!(finding["code"], "unknown_name");
    assert_eq!((&finding["line"], &finding["column"]), (&5.into(), &8.into()));
    assert_eq!(finding["pointer"], "/deny/0");
}

#[test]
fn exit_codes_are_typed() {
    let warned = policy().replace("deny: [abusive]\n", "");
    let ran = check(&warned);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("warning[unused] at /networks/abusive"), "{}", ran.out);
    assert_eq!(run(&["check", "--deny-warnings", "-"], &warned).code, 1);
    assert_eq!(check("a: [").code, 3);
    assert_eq!(run(&["check", "/nowhere/policy.yaml"], "").code, 3);
    assert_eq!(run(&["check"], "").code, 2);
    assert_eq!(run(&["check", "--fast", "-"], "").code, 2);
    assert_eq!(run(&[], "").code, 2);
}

#[test]
fn one_unreadable_file_does_not_hide_the_others() {
    let good = File::new("good.yaml", &policy());
    let bad = File::new("bad.json", "{\"version\": 1");
    let ran = run(&["check", &good.0, &bad.0], "");
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("good.yaml:1:1: policy `external` compiles"), "{}", ran.out);
    assert!(ran.out.contains("bad.json:1:13: error[not_parsable]: "), "{}", ran.out);
}

#[test]
fn a_file_without_a_policy_is_an_error() {
    for text in ["static_resources: {}", "apiVersion: v1\nkind: Service\n", "a: 1\n---\nb: 2\n"] {
        let ran = check(text);
        assert_eq!(ran.code, 1, "{text}");
        assert!(ran.out.contains("error[policy_not_found]"), "{}", ran.out);
    }
    // row: C01
    assert_eq!(check("").code, 1);
    assert_eq!(check("{}").code, 1);
    assert_eq!(check("[]").code, 1);
}

#[test]
fn no_finding_shows_a_key() {
    // row: C07
    for text in [
        policy().replace("id: mobile-1", &format!("id: {KEY}")),
        policy().replace("sha256: ", &format!("sha256: {KEY}")),
        policy().replace("sha256: ", &format!("{KEY}: ")),
        policy().replace("gateway: external", &format!("gateway: {KEY}")),
        policy().replace("name: health", &format!("name: {KEY}")),
        policy().replace("gateway: external", &format!("gateway: g\n{KEY}: {KEY}\n{KEY}: x")),
    ] {
        for format in ["human", "json"] {
            let ran = run(&["check", "-", "--format", format], &text);
            assert_eq!(ran.code, 1, "{}", ran.out);
            assert!(!ran.out.contains(KEY) && !ran.err.contains(KEY), "{}", ran.out);
        }
    }
}
