//! Running the binary, and a policy to run it on.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a run left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary with a text on its standard input.
pub(crate) fn run(arguments: &[&str], input: &str) -> Ran {
    run_with(arguments, input, &[])
}

/// The same, with some more variables in its environment.
pub(crate) fn run_with(arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A run that fails early may not read its input: then writing it fails, which is no fault.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the binary ends");
    Ran {
        code: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Checks a text and returns code and output.
pub(crate) fn check(input: &str) -> Ran {
    run(&["check", "-"], input)
}

/// A file that is gone when the test is.
pub(crate) struct File(pub(crate) String);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        Self(path.to_str().expect("a path of text").to_owned())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A key in the portcullis format, and its digest: `key new` made it.
pub(crate) const KEY: &str = "pcl_RXhfCseWCtzGz2JlkSPxy9tY5y8AAffJrNdnG1w1bJu2ul8wq";
pub(crate) const DIGEST: &str = "adf898e4190ce55316a153f0d5402db1bffdf7b522c2d7ec36d3993c8338fa21";

/// A sound policy without warnings.
pub(crate) fn policy() -> String {
    format!(
        "version: 1
gateway: external
networks:
  abusive: {{cidrs: [203.0.113.0/24]}}
deny: [abusive]
roles: {{reader: [orders:read]}}
consumers:
  - name: mobile
    roles: [reader]
    api_keys: [{{id: mobile-1, sha256: {DIGEST}}}]
limits:
  per-address: {{key: [address], rate: 1/s, burst: 3}}
routes:
  - {{name: health, paths: [/healthz], methods: [GET], access: public}}
  - name: orders
    paths: [\"/orders/**\"]
    methods: [GET]
    credentials: [api_key]
    scopes: {{all_of: [orders:read]}}
    limits: [per-address]
"
    )
}

/// Every line moved to the right.
pub(crate) fn indent(text: &str, by: usize) -> String {
    text.split_inclusive('\n')
        .flat_map(|line| [" ".repeat(by), line.to_owned()])
        .collect::<String>()
        + if text.ends_with('\n') { "" } else { "\n" }
}
