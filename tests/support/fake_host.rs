//! A behaving stand-in for Envoy's Wasm host, for tests of `target/portcullis.wasm` without Envoy.
//!
//! It does what Envoy 1.40 does with the calls that the module makes: it is a fake, not a list of
//! expected calls. Tests look at the outcome, and can meddle with any call.

mod calls;
mod fuel;
mod guest;
mod host;
mod imports;
mod process;
mod story;
mod streams;

use std::sync::OnceLock;

use wasmi::{Engine, Error, Instance, Module, Store, TypedFunc, WasmParams, WasmResults};

use host::{Host, Meddling};

pub use host::{GrpcCall, HttpCall, Meddle, Pair, Reply};
pub use process::Process;
pub use story::{Answer, Configured, Outcome, Request};

/// One VM: a worker's copy of the module.
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    next_context: u32,
    root: u32,
    trap: Option<String>,
    resumed: Vec<(u32, Outcome)>,
}

impl Vm {
    /// A VM of that process with the module that `scripts/build` made.
    ///
    /// # Panics
    /// When the module is not there or imports what the fake does not have.
    pub fn new(process: &Process) -> Self {
        Self::with(module(), process)
    }

    /// A VM of that process with another module.
    ///
    /// # Panics
    /// When the module imports what the fake does not have.
    pub fn with(module: &Module, process: &Process) -> Self {
        let engine = module.engine();
        let mut store = Store::new(engine, Host::new(process.clone()));
        fuel::fill(&mut store);
        let linker = imports::linker(engine).expect("imports are defined once");
        let instance =
            linker.instantiate_and_start(&mut store, module).expect("the module can be linked");
        let mut vm =
            Self { store, instance, next_context: 1, root: 0, trap: None, resumed: Vec::new() };
        vm.call::<(), ()>(0, "_initialize", ());
        vm
    }

    /// Calls an export if the module has it; `None` if it does not, or if the VM is dead.
    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        name: &str,
        parameters: P,
    ) -> Option<R> {
        if self.trap.is_some() {
            return None;
        }
        let function: TypedFunc<P, R> = match self.instance.get_func(&self.store, name) {
            None => return None,
            Some(function) => function.typed(&self.store).expect("the ABI's signature"),
        };
        let host = self.store.data_mut();
        (host.current, host.effective) = (context, None);
        let answer = function.call(&mut self.store, parameters);
        answer.map_err(|trap: Error| self.trap = Some(trap.to_string())).ok()
    }

    fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    fn context(&mut self) -> u32 {
        let context = self.next_context;
        self.next_context += 1;
        context
    }

    /// Makes a root context for a configuration, as Envoy does for each new one.
    ///
    /// # Panics
    /// When the VM is dead.
    pub fn configure(&mut self, configuration: impl AsRef<[u8]>) -> Configured {
        let root = self.context();
        self.host().roots.push(root);
        self.call::<_, ()>(root, "proxy_on_context_create", (root, 0_u32));
        self.call::<_, u32>(root, "proxy_on_vm_start", (root, 0_u32));
        self.reconfigure(root, configuration)
    }

    /// Hands a configuration to a root context that is there already.
    ///
    /// # Panics
    /// When the VM is dead.
    pub fn reconfigure(&mut self, root: u32, configuration: impl AsRef<[u8]>) -> Configured {
        let configuration = configuration.as_ref().to_vec();
        let size = u32::try_from(configuration.len()).expect("a configuration under 4 GiB");
        self.host().configuration = Some(configuration);
        self.host().log.clear();
        let accepted = self.call::<_, u32>(root, "proxy_on_configure", (root, size));
        self.host().configuration = None;
        assert_eq!(self.trap, None, "the VM died while it was configured");
        let accepted = accepted.is_none_or(|accepted| accepted != 0);
        if accepted {
            self.root = root;
        }
        Configured { accepted, root, log: std::mem::take(&mut self.host().log) }
    }

    /// Sends a request through the newest accepted configuration.
    pub fn request(&mut self, request: &Request) -> Outcome {
        self.request_on(self.root, request)
    }

    /// Sends a request through the configuration of that root context.
    pub fn request_on(&mut self, root: u32, request: &Request) -> Outcome {
        let stream = self.open(root);
        let outcome = self.run(stream, request);
        self.close(stream);
        outcome
    }

    /// Ends a stream or a root context.
    pub fn close(&mut self, context: u32) {
        self.call::<_, u32>(context, "proxy_on_done", context);
        self.call::<_, ()>(context, "proxy_on_delete", context);
        self.host().streams.remove(&context);
    }

    /// The root context of the newest accepted configuration.
    pub fn root(&self) -> u32 {
        self.root
    }

    /// Runs the timer of a root context.
    pub fn tick(&mut self, root: u32) {
        self.call::<_, ()>(root, "proxy_on_tick", root);
        self.settle();
    }

    /// The lines of the log since the last request, or since this was asked last.
    pub fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.host().log)
    }

    /// The period of a root context's timer in milliseconds, if it asked for one.
    pub fn tick_period(&mut self, root: u32) -> Option<u32> {
        self.host().ticks.get(&root).copied()
    }

    /// Meddles with a host call: after `skip` calls of that name, `times` times.
    pub fn meddle(&mut self, call: &'static str, skip: usize, times: usize, meddle: Meddle) {
        self.host().meddling.push(Meddling { call, skip, times, meddle });
    }

    /// Ends all meddling.
    pub fn behave(&mut self) {
        self.host().meddling.clear();
    }

    /// The module's memory in bytes. It never shrinks.
    ///
    /// # Panics
    /// When the module exports no memory.
    pub fn memory(&self) -> usize {
        self.instance.get_memory(&self.store, "memory").expect("a memory").data_size(&self.store)
    }

    /// Why the VM died, if it did.
    pub fn trap(&self) -> Option<&str> {
        self.trap.as_deref()
    }
}

/// The module that `scripts/build` made, compiled once.
///
/// # Panics
/// When it is not there.
pub fn module() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| compiled(&Engine::default(), &bytes()))
}

fn compiled(engine: &Engine, bytes: &[u8]) -> Module {
    Module::new(engine, bytes).expect("a valid module")
}

/// The bytes of that module.
///
/// # Panics
/// When it is not there.
pub fn bytes() -> Vec<u8> {
    let path = std::env::var_os("PORTCULLIS_WASM").unwrap_or_else(|| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/portcullis.wasm").into()
    });
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; run scripts/build", path.display());
    })
}
