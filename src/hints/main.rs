//! `portcullis-hints MODULE HINTS`: writes the hints of a file into a module, in its place.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use portcullis_hints::{Hints, Written, write};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [module, hints] = arguments.as_slice() else {
        eprintln!("usage: portcullis-hints MODULE HINTS");
        return ExitCode::from(2);
    };
    match run(module.as_ref(), hints.as_ref()) {
        Ok(Written { hints, functions, unknown: 0 }) => {
            println!("hints for {hints} branches of {functions} functions");
            ExitCode::SUCCESS
        }
        Ok(Written { hints, functions, unknown }) => {
            println!(
                "hints for {hints} branches of {functions} functions; {unknown} functions that had some have changed"
            );
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("portcullis-hints: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(module: &Path, hints: &Path) -> Result<Written, String> {
    let at = |path: &Path| format!("{}: ", path.display());
    let text = std::fs::read_to_string(hints).map_err(|error| at(hints) + &error.to_string())?;
    let hints = Hints::read(&text).map_err(|line| {
        format!("{}line {line} is not a fingerprint and its branches", at(hints))
    })?;
    let bytes = std::fs::read(module).map_err(|error| at(module) + &error.to_string())?;
    let (new, written) = write(&bytes, &hints).map_err(|error| at(module) + &error.to_string())?;
    std::fs::write(module, new).map_err(|error| at(module) + &error.to_string())?;
    Ok(written)
}
