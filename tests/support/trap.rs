//! The module with one callback that traps: what a fault in it would do, in the build that is shipped.

use std::fs;
use std::path::{Path, PathBuf};

use crate::envoy::module;

/// The module's code, its callback of that name replaced by `unreachable`, in a file of a folder.
pub fn trapping(callback: &str, folder: &Path) -> PathBuf {
    let bytes = fs::read(module()).expect("the module is built");
    let file = folder.join(format!("{callback}.wasm"));
    fs::write(&file, replace(&bytes, callback)).expect("a folder that can be written to");
    file
}

/// No locals, `unreachable`, `end`: valid in place of any function (WebAssembly 1.0, section 5.4).
const TRAP: [u8; 3] = [0x00, 0x00, 0x0b];

const IMPORTS: u8 = 2;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

fn replace(module: &[u8], callback: &str) -> Vec<u8> {
    let (header, mut rest) = module.split_at(8);
    let mut result = header.to_vec();
    let (mut imported, mut target) = (0, None);
    while let Some((id, after)) = rest.split_first() {
        let mut reader = Reader(after);
        let size = reader.number();
        let content = reader.take(size);
        rest = reader.0;
        match *id {
            IMPORTS => imported = imported_functions(content),
            EXPORTS => target = exported(content, callback),
            _ => {}
        }
        let target = target.map(|index: usize| index - imported);
        let content = match (*id, target) {
            (CODE, Some(index)) => with_trap(content, index),
            _ => content.to_vec(),
        };
        result.push(*id);
        push_number(&mut result, content.len());
        result.extend(content);
    }
    assert!(target.is_some(), "the module exports no `{callback}`");
    result
}

/// The module imports functions only.
fn imported_functions(section: &[u8]) -> usize {
    Reader(section).number()
}

fn exported(section: &[u8], callback: &str) -> Option<usize> {
    let mut reader = Reader(section);
    (0..reader.number()).find_map(|_| {
        let length = reader.number();
        let name = reader.take(length).to_vec();
        let kind = reader.take(1)[0];
        let index = reader.number();
        (kind == 0 && name == callback.as_bytes()).then_some(index)
    })
}

fn with_trap(section: &[u8], target: usize) -> Vec<u8> {
    let mut reader = Reader(section);
    let count = reader.number();
    let mut result = Vec::new();
    push_number(&mut result, count);
    for index in 0..count {
        let size = reader.number();
        let body = reader.take(size);
        let body = if index == target { &TRAP } else { body };
        push_number(&mut result, body.len());
        result.extend(body);
    }
    result
}

/// Reads LEB128 numbers and runs of bytes.
struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn number(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = usize::from(self.take(1)[0]);
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn take(&mut self, count: usize) -> &'m [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
}

fn push_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}
