//! Files to trees: which notation a file is in, and what stands where in it.

use std::io::Read;
use std::path::Path;

mod duplicates;
mod json;
mod scalar;
mod tree;
mod yaml;

pub(crate) use duplicates::hidden;
pub(crate) use scalar::Dialect;
pub(crate) use tree::{Mark, Member, Scalar, Style, Tree, escape};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Why there is nothing to check.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file cannot be read.
    Unreadable(String),
    /// The text is neither JSON nor YAML, from this place on.
    NotParsable(Mark, String),
}

/// A file and the documents in it.
pub(crate) struct Source {
    pub(crate) text: String,
    pub(crate) notation: Notation,
    pub(crate) documents: Vec<Tree>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    Json,
    Yaml,
}

impl Source {
    /// Reads and parses a file.
    pub(crate) fn open(name: &str) -> Result<Self, Fault> {
        let text = read(name).map_err(Fault::Unreadable)?;
        let notation = notation(name, &text);
        let documents = parse(&text, notation)?;
        Ok(Self { text, notation, documents })
    }
}

/// The text of a file, or of the standard input for `-`.
pub(crate) fn read(name: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(name).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
    };
    match read {
        Ok(bytes) if bytes as u64 == MAX_BYTES => Err(format!("is larger than {MAX_BYTES} bytes")),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// By the name as Envoy does; without a telling name it is JSON when it reads as JSON.
fn notation(name: &str, text: &str) -> Notation {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    match extension {
        Some("json") => Notation::Json,
        Some("yaml" | "yml") => Notation::Yaml,
        _ if serde_json::from_str::<serde_json::Value>(text)
            .is_ok_and(|value| value.is_object()) =>
        {
            Notation::Json
        }
        _ => Notation::Yaml,
    }
}

/// The documents of a text: one of JSON, any number of YAML.
pub(crate) fn parse(text: &str, notation: Notation) -> Result<Vec<Tree>, Fault> {
    match notation {
        Notation::Yaml => yaml::load(text),
        Notation::Json => json::load(text).map(|tree| vec![tree]).ok_or_else(|| {
            let error = serde_json::from_str::<serde_json::Value>(text).err();
            let mark = error.as_ref().map_or(Mark::START, |error| Mark {
                line: error.line().max(1),
                column: error.column().max(1),
            });
            let message = error.map_or("nested too deeply".to_owned(), |error| error.to_string());
            Fault::NotParsable(mark, message)
        }),
    }
}
