//! Printing: a closed pipe ends the output, not the program with a panic.

use std::io::Write;

/// Prints lines to the standard output.
pub(crate) fn print_lines(lines: &[impl AsRef<str>]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A reader that went away (`| head`) has seen what it wanted.
        if writeln!(out, "{}", line.as_ref()).is_err() {
            return;
        }
    }
}

/// Prints a JSON value, indented.
pub(crate) fn print_json(value: &serde_json::Value) {
    print_lines(&[format!("{value:#}")]);
}

/// Prints one line to the standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `1 error`, `2 errors`.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text from elsewhere on one line, without characters that would move the cursor or hide others.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(char::escape_debug).collect()
}

/// The name of a file as messages repeat it. A key or a token that was given in its place is no less a
/// secret: it is not repeated.
pub(crate) fn file_name(name: &str) -> String {
    let pasted = name.len() > 255 || name.starts_with("eyJ") || name.contains(['{', '"']);
    if pasted { "the text in place of a file".to_owned() } else { format!("`{}`", plain(name)) }
}
