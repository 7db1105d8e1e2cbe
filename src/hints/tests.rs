use std::collections::BTreeMap;

use wasm_encoder::{
    BlockType, CodeSection, CustomSection, Function as Body, FunctionSection, Instruction, Module,
    TypeSection, ValType,
};
use wasmparser::{KnownCustom, Parser, Payload};

use crate::{Hints, SECTION, Written, count, functions, write};

/// A function with an `if` and a `br_if`, both on that local, and one instruction more if it is asked for.
fn body(local: u32, more: bool) -> Body {
    let mut body = Body::new([]);
    body.instruction(&Instruction::LocalGet(local));
    body.instruction(&Instruction::If(BlockType::Empty));
    if more {
        body.instruction(&Instruction::Nop);
    }
    body.instruction(&Instruction::LocalGet(local));
    body.instruction(&Instruction::BrIf(0));
    body.instruction(&Instruction::End);
    body.instruction(&Instruction::End);
    body
}

fn module(bodies: &[Body]) -> Vec<u8> {
    let (mut types, mut named, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([ValType::I32, ValType::I32], []);
    for body in bodies {
        named.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&named);
    module.section(&CustomSection { name: "before".into(), data: b"kept".into() });
    module.section(&code);
    module.section(&CustomSection { name: "behind".into(), data: b"kept, too".into() });
    module.finish()
}

/// The hints of a module as an engine reads them: function, offset, whether the branch is likely.
fn read(module: &[u8]) -> Vec<(u32, u32, bool)> {
    let mut all = Vec::new();
    let mut code_was_there = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::CodeSectionStart { .. } => code_was_there = true,
            Payload::CustomSection(custom) => {
                let KnownCustom::BranchHints(functions) = custom.as_known() else { continue };
                assert!(!code_was_there, "hints behind the code are not read");
                for function in functions {
                    let function = function.unwrap();
                    for hint in function.hints {
                        let hint = hint.unwrap();
                        all.push((function.func, hint.func_offset, hint.taken));
                    }
                }
            }
            _ => {}
        }
    }
    all
}

#[test]
fn operands_do_not_make_another_function() {
    let module = module(&[body(0, false), body(1, false), body(0, true)]);
    let functions = functions(&module).unwrap();
    let [first, second, third] = functions.as_slice() else { panic!("{functions:?}") };
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_ne!(first.fingerprint, third.fingerprint);
    // No locals, `local.get 0`, and there it is.
    assert_eq!(first.branches, [3, 7]);
    assert_eq!(third.branches, [3, 8]);
    assert_eq!((first.index, third.index), (0, 2));
}

#[test]
fn what_was_learned_is_written_and_read() {
    let module = module(&[body(0, false), body(0, true)]);
    let functions = functions(&module).unwrap();
    // The last branch goes both ways, the first one was never seen.
    let shares = BTreeMap::from([(1, 0.1), (2, 0.9), (3, 0.5)]);
    let hints = Hints::learn(&functions, &shares);
    let (hinted, written) = write(&module, &hints).unwrap();
    assert_eq!(written, Written { hints: 2, functions: 2, unknown: 0 });
    assert_eq!(read(&hinted), [(0, 7, false), (1, 3, true)]);
    assert_eq!(count(&hinted).unwrap(), 2);
    assert_eq!(count(&module).unwrap(), 0);
    // Written once more they take the place of those that are there, and nothing else has changed.
    assert_eq!(write(&hinted, &hints).unwrap().0, hinted);
    let none = write(&hinted, &Hints::default()).unwrap().0;
    assert_eq!(read(&none), []);
    let (at, length) = (module.windows(4).position(|four| four == b"kept").unwrap(), module.len());
    assert_eq!(none.get(..at), module.get(..at));
    assert_eq!(none.get(none.len() - (length - at - 4)..), module.get(at + 4..));
    assert!(hinted.windows(SECTION.len()).any(|window| window == SECTION.as_bytes()));
}

#[test]
fn equal_functions_get_what_holds_for_all() {
    let module = module(&[body(0, false), body(1, false), body(1, false)]);
    let functions = functions(&module).unwrap();
    // Whichever of them goes the other way, a third is too much to call it usual.
    for other in [1, 3, 5] {
        let all = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0)];
        let mut shares = BTreeMap::from(all);
        shares.insert(other, 0.0);
        let hints = Hints::learn(&functions, &shares);
        let (hinted, _) = write(&module, &hints).unwrap();
        assert_eq!(read(&hinted), [(0, 3, true), (1, 3, true), (2, 3, true)]);
    }
}

#[test]
fn a_function_that_has_changed_gets_none() {
    let old = module(&[body(0, false)]);
    let hints = Hints::learn(&functions(&old).unwrap(), &BTreeMap::from([(0, 1.0)]));
    let (hinted, written) = write(&module(&[body(0, true)]), &hints).unwrap();
    assert_eq!(written, Written { hints: 0, functions: 0, unknown: 1 });
    assert_eq!(read(&hinted), []);
}

#[test]
fn a_file_says_the_same_when_it_is_read() {
    let text = "00000000000000a1 01-\nffffffffffffffff -\n";
    let hints = Hints::read(text).unwrap();
    assert_eq!(hints.to_string(), text);
    assert_eq!(Hints::read(&format!("# said\n\n{text}")), Ok(hints));
    let line = "000000000000000a 01";
    let wrong = [
        (format!("{line}\n{line}"), 2),
        (format!("# said\n{line}2"), 2),
        ("000000000000000a".to_owned(), 1),
        ("000000000000000a ".to_owned(), 1),
        ("a 01".to_owned(), 1),
        ("000000000000000A 01".to_owned(), 1),
        ("+00000000000000a 01".to_owned(), 1),
    ];
    for (wrong, line) in wrong {
        assert_eq!(Hints::read(&wrong), Err(line), "{wrong}");
    }
}

#[test]
fn what_is_no_module_is_refused() {
    let module = module(&[body(0, false)]);
    for length in 1..module.len() {
        let part = module.get(..length).unwrap();
        // Where a section ends, what is before it is a module.
        if let Ok((new, _)) = write(part, &Hints::default()) {
            assert!(Parser::new(0).parse_all(&new).all(|payload| payload.is_ok()), "{length}");
        }
    }
    assert!(write(b"\0asm but not for long", &Hints::default()).is_err());
}
