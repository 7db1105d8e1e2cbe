//! Counts which way the branches of a module go: a copy of it tells the host of every one.
//!
//! A branch is known by its place among all `if` and `br_if` of the module, as in `portcullis_hints`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use portcullis_hints::is_branch;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, EntityType, ImportSection, Instruction, Module, TypeSection, ValType,
};
use wasmparser::{CustomSectionReader, FunctionBody, Parser};

/// The module and the name of the function that the copy imports: it takes a branch's condition and its
/// place, and gives the condition back.
pub const IMPORT: (&str, &str) = ("portcullis-tests", "branch");

/// How often the condition of a branch was false, and how often true, by the branch's place.
pub type Counts = BTreeMap<u32, [u64; 2]>;

/// The copy of a module that tells of its branches.
///
/// # Panics
/// When the module is none.
pub fn telling(module: &[u8]) -> Vec<u8> {
    let mut new = Module::new();
    let mut copy = Copy { place: 0, types: 0 };
    copy.parse_core_module(&mut new, Parser::new(0), module).expect("a module");
    new.finish()
}

struct Copy {
    /// Of the next branch.
    place: i32,
    /// How many types the module has itself.
    types: u32,
}

type Copied = Result<(), Error<Infallible>>;

/// The imported function, which comes before all others.
const TELL: u32 = 0;

impl Reencode for Copy {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> u32 {
        function + TELL + 1
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Copied {
        utils::parse_type_section(self, types, section)?;
        self.types = types.len();
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Copied {
        imports.import(IMPORT.0, IMPORT.1, EntityType::Function(self.types));
        utils::parse_import_section(self, imports, section)
    }

    /// Hints and names are of the module as it was.
    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Copied {
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Copied {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if is_branch(&operator) {
                function.instruction(&Instruction::I32Const(self.place));
                function.instruction(&Instruction::Call(TELL));
                self.place += 1;
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
