//! How much the module computes, and which way its branches go.
//!
//! The runtime counts fuel, about one unit an instruction. Only the module's own instructions count. What a host call costs in Envoy is not in it.

use std::sync::OnceLock;

use wasmi::{CompilationMode, Config, Engine, Module, Store};

use super::host::Host;
use super::process::Process;
use super::story::{Outcome, Request};
use super::{Vm, bytes, compiled};
use crate::branches::{self, Counts};

/// More than any test uses.
const FULL: u64 = u64::MAX;

/// Fills up a store whose engine counts; one that does not takes nothing.
pub(super) fn fill(store: &mut Store<Host>) {
    let _ = store.set_fuel(FULL);
}

impl Vm {
    /// A VM that counts fuel, with the module that `scripts/build` made. All of it is compiled at once:
    /// compiling what a request needs first would count as that request's.
    ///
    /// # Panics
    /// When the module is not there or imports what the fake does not have.
    pub fn counting(process: &Process) -> Self {
        let mut config = Config::default();
        config.consume_fuel(true).compilation_mode(CompilationMode::Eager);
        Self::with(&compiled(&Engine::new(&config), &bytes()), process)
    }

    /// Sends a request through the newest accepted configuration, and gives the fuel that it took from
    /// the stream's start to its end.
    ///
    /// # Panics
    /// When this VM does not count.
    pub fn fuel_of(&mut self, request: &Request) -> (Outcome, u64) {
        fill(&mut self.store);
        let outcome = self.request(request);
        let left = self.store.get_fuel().expect("a VM that counts fuel");
        (outcome, FULL - left)
    }

    /// A VM with a copy of the module that `scripts/build` made which tells of its branches.
    ///
    /// # Panics
    /// When the module is not there or imports what the fake does not have.
    pub fn telling(process: &Process) -> Self {
        static COPY: OnceLock<Module> = OnceLock::new();
        let copy = COPY.get_or_init(|| compiled(&Engine::default(), &branches::telling(&bytes())));
        Self::with(copy, process)
    }

    /// Sends a request through the newest accepted configuration, and gives which way branches went.
    pub fn branches_of(&mut self, request: &Request) -> (Outcome, Counts) {
        self.host().branches.clear();
        let outcome = self.request(request);
        (outcome, std::mem::take(&mut self.host().branches))
    }
}
