//! The README's table of reasons is the core's own, and its configuration of a fleet the shipped one.

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

#[test]
fn the_fleets_configuration_is_the_shipped_one() -> std::io::Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let mut shipped = Vec::new();
    for entry in std::fs::read_dir(root().join("envoy/fleet"))? {
        shipped.push(std::fs::read_to_string(entry?.path())?);
    }
    let section = readme.split_once("\n## Limits over a fleet\n").map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or("", |(section, _)| section);
    let blocks = section.split("\n```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block);
    // Policies are compiled by tests/sandbox.py.
    let shown: Vec<_> =
        blocks.filter(|block| !block.starts_with("version: 1")).map(lines).collect();
    assert_eq!(shown.len(), 3);
    for block in shown {
        let holds = |file: &String| lines(file).windows(block.len()).any(|part| part == block);
        assert!(shipped.iter().any(holds), "{block:?} is in no file of envoy/fleet");
    }
    Ok(())
}

/// Lines that are not empty and no comment, without their indentation.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
