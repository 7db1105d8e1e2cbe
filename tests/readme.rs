//! The README's table of reasons is the core's own.

use portcullis_core::Denial;
use portcullis_tests::envoy::root;

#[test]
fn the_table_of_reasons_is_the_cores() -> std::io::Result<()> {
    let text = std::fs::read_to_string(root().join("README.md"))?;
    let header = "| code | status | what it means | what the caller reads |";
    let table = text.lines().skip_while(|line| *line != header).skip(2);
    let written: Vec<_> = table.take_while(|line| line.starts_with('|')).collect();
    let rows: Vec<_> = Denial::all()
        .map(|denial| {
            let (code, status) = (denial.code(), denial.status());
            format!("| `{code}` | {status} | {} | {} |", denial.meaning(), denial.public().detail())
        })
        .collect();
    assert_eq!(written, rows);
    Ok(())
}
