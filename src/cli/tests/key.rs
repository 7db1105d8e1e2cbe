use crate::support::{DIGEST, File, KEY, policy, run};

#[test]
fn a_new_key_fits_its_entry() {
    let made =
        run(&["key", "new", "--consumer", "mobile", "--expires", "2027-01-31T00:00:00Z"], "");
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let (key, entry) = made.out.split_once('\n').expect("two parts");
    assert!(key.starts_with("pcl_") && key.len() == 53, "the form of the key");
    assert!(!entry.contains("pcl_"), "the key is printed once");
    assert!(entry.contains("expires: \"2027-01-31T00:00:00"), "{entry}");
    let digest = run(&["key", "hash"], &format!("{key}\n")).out;
    assert!(entry.contains(digest.trim_end()), "{entry}");
    assert_ne!(run(&["key", "new"], "").out.lines().next(), Some(key));
    // The entry stands in a policy as it was printed.
    let text = format!(
        "version: 1\ngateway: g\n{entry}routes:\n  - {{name: r, paths: [/], methods: [GET], credentials: [api_key]}}\n"
    );
    let checked = run(&["check", "-", "--deny-warnings"], &text);
    assert_eq!(checked.code, 0, "{}", checked.out);
}

#[test]
fn a_new_key_is_let_in() {
    let made = run(&["key", "new", "--id", "mobile-2", "--format", "json"], "");
    let made: serde_json::Value = serde_json::from_str(&made.out).expect("json");
    let (key, digest) = (&made["key"], &made["entry"]["sha256"]);
    assert_eq!(made["entry"]["id"], "mobile-2");
    let file = File::new("new-key.yaml", &policy().replace(DIGEST, digest.as_str().expect("hex")));
    let header = format!("x-api-key: {}", key.as_str().expect("a key"));
    let arguments = [
        "explain",
        "--policy",
        &file.0,
        "--path",
        "/orders/1",
        "--peer",
        "192.0.2.1",
        "--header",
        &header,
    ];
    let ran = run(&arguments, "");
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn keys_are_hashed_one_a_line() {
    let ran = run(&["key", "hash"], &format!("{KEY}\r\nlegacy\n"));
    assert_eq!(ran.code, 0);
    assert_eq!(ran.out.lines().next(), Some(DIGEST));
    assert_eq!(ran.out.lines().count(), 2);
    assert_eq!(ran.err, "note: line 2: its policy entry needs `format: opaque`\n");
    assert!(run(&["key", "hash"], " x\n").err.contains("the white space around it is hashed too"));
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    // row: K11
    let mistyped = KEY.replace("pcl_", "pcl_x");
    for (input, why) in [
        ("", "line 1: the empty text is not a key"),
        ("\n", "line 1: the empty text is not a key"),
        (mistyped.as_str(), "line 1: its checksum is wrong: the key is mistyped or cut"),
        (KEY.trim_end_matches("8wq"), "line 1: its checksum is wrong: the key is mistyped or cut"),
        (&"x".repeat(513), "line 1: longer than 512 bytes"),
    ] {
        let ran = run(&["key", "hash"], input);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{why}");
        assert!(ran.err.contains(why), "{}", ran.err);
        assert!(!ran.err.contains("pcl_"), "{}", ran.err);
    }
}

#[test]
fn keys_are_not_taken_from_the_arguments() {
    assert_eq!(run(&["key", "hash", KEY], "").code, 2);
    for arguments in [["--consumer", "a b"], ["--id", ""], ["--expires", "tomorrow"]] {
        assert_eq!(run(&[&["key", "new"], &arguments[..]].concat(), "").code, 2, "{arguments:?}");
    }
}
