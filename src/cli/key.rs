//! `portcullis key`: makes API keys, and the digests that stand for them in a policy.

use std::io::{IsTerminal as _, Read as _};

use clap::{Args, Subcommand, ValueEnum};
use portcullis_core::{Timestamp, digest, key_text};
use serde_json::json;

use crate::clock::time;
use crate::exit::Exit;
use crate::output::{complain, print_json, print_lines};

/// Longest text that the gateway takes for a key, in bytes.
const MAX_KEY: usize = 512;
/// Most input that is read at once, in bytes.
const MAX_INPUT: u64 = 16 << 20;

#[derive(Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key: it is printed once and stored nowhere; the policy takes only its digest.
    New(New),
    /// Print the digests of keys, one a line of the standard input.
    Hash,
}

#[derive(Args)]
struct New {
    /// The consumer whose key it is.
    #[arg(long, value_parser = name)]
    consumer: Option<String>,
    /// The key's id in the policy and in audit records; not a secret.
    #[arg(long, value_parser = name)]
    id: Option<String>,
    /// Refused from this time on (RFC 3339, such as 2027-01-31T00:00:00Z).
    #[arg(long, value_parser = time)]
    expires: Option<Timestamp>,
    /// How the key and its entry are printed.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The key on the first line, then the policy entry as YAML.
    Human,
    /// One object with `key` and `entry`.
    Json,
}

pub(crate) fn run(arguments: &Key) -> Exit {
    match &arguments.command {
        Command::New(new) => make(new),
        Command::Hash => hash(),
    }
}

fn make(new: &New) -> Exit {
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        complain(&format!("error: the system has no randomness: {error}"));
        return Exit::Unreadable;
    }
    let key = key_text::write(&random);
    let sha256 = hex(&digest(key.as_bytes()));
    let holder = new.consumer.as_deref().unwrap_or("key");
    let short: String =
        holder.chars().take(40).chain(['-']).chain(sha256.chars().take(8)).collect();
    let id = new.id.clone().unwrap_or(short);
    let expires = new.expires.map(|time| time.to_string());
    match new.format {
        Format::Human => print_lines(&entry(&key, new.consumer.as_deref(), &id, &sha256, expires)),
        Format::Json => {
            let mut entry = json!({"id": id, "sha256": sha256});
            if let (Some(entry), Some(expires)) = (entry.as_object_mut(), expires) {
                entry.insert("expires".to_owned(), expires.into());
            }
            print_json(&json!({"key": key, "consumer": new.consumer, "entry": entry}));
        }
    }
    Exit::Success
}

/// The key, and what the policy says about it. Everything is quoted: an id may look like a number.
fn entry(
    key: &str,
    consumer: Option<&str>,
    id: &str,
    sha256: &str,
    expires: Option<String>,
) -> Vec<String> {
    let mut lines = vec![
        key.to_owned(),
        String::new(),
        "# The key is shown this once. The policy takes its digest:".to_owned(),
    ];
    let mut indent = "";
    if let Some(consumer) = consumer {
        lines.extend(["consumers:".to_owned(), format!("  - name: \"{consumer}\"")]);
        indent = "    ";
    }
    let expires = expires.map_or(String::new(), |time| format!(", expires: \"{time}\""));
    lines.push(format!("{indent}api_keys:"));
    lines.push(format!("{indent}  - {{id: \"{id}\", sha256: \"{sha256}\"{expires}}}"));
    lines
}

/// Keys are read from the standard input only: arguments show in process lists and shell histories.
fn hash() -> Exit {
    if std::io::stdin().is_terminal() {
        complain("keys are read from the standard input, one a line; end with Ctrl-D");
    }
    let mut input = Vec::new();
    match std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut input) {
        Ok(bytes) if bytes as u64 == MAX_INPUT => {
            complain(&format!("error: the input is longer than {MAX_INPUT} bytes"));
            return Exit::Usage;
        }
        Ok(_) => {}
        Err(error) => {
            complain(&format!("error: the standard input cannot be read: {error}"));
            return Exit::Unreadable;
        }
    }
    let text = input.strip_suffix(b"\n").unwrap_or(&input);
    let mut exit = Exit::Success;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let key = line.strip_suffix(b"\r").unwrap_or(line);
        let place = format!("line {}", index.saturating_add(1));
        if let Some(why) = refusal(key) {
            complain(&format!("error: {place}: {why}"));
            exit = Exit::Usage;
            continue;
        }
        if key_text::form(key) == key_text::Form::Other {
            complain(&format!("note: {place}: its policy entry needs `format: opaque`"));
        }
        if key.trim_ascii() != key {
            complain(&format!("note: {place}: the white space around it is hashed too"));
        }
        print_lines(&[hex(&digest(key))]);
    }
    exit
}

/// Why a text can be nobody's key.
fn refusal(key: &[u8]) -> Option<String> {
    if key.is_empty() {
        return Some("the empty text is not a key".to_owned());
    }
    if key.len() > MAX_KEY {
        return Some(format!("longer than {MAX_KEY} bytes, which the gateway takes for no key"));
    }
    (key_text::form(key) == key_text::Form::Damaged)
        .then(|| "its checksum is wrong: the key is mistyped or cut".to_owned())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// A name of the policy language.
fn name(text: &str) -> Result<String, String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    (first && rest && text.len() <= 64).then(|| text.to_owned()).ok_or_else(|| {
        "a name is 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit"
            .to_owned()
    })
}
