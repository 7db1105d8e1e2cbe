//! A behaving stand-in for Envoy's Wasm host, for tests of `target/portcullis.wasm` without Envoy.
//!
//! It does what Envoy 1.40 does with the calls that the module makes: it is a fake, not a list of
//! expected calls. Tests look at the outcome, and can meddle with any call.

mod guest;
mod host;
mod imports;
mod process;
mod story;

use std::sync::OnceLock;

use wasmi::{Engine, Error, Instance, Module, Store, TypedFunc, WasmParams, WasmResults};

use host::{Host, Meddling, REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, Stream};
use story::pairs;

pub use host::{Meddle, Pair, Reply};
pub use process::Process;
pub use story::{Answer, Configured, Outcome, Request};

/// One VM: a worker's copy of the module.
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    next_context: u32,
    root: u32,
    trap: Option<String>,
}

/// What a header callback tells the host to do next.
const CONTINUE: u32 = 0;

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
        let linker = imports::linker(engine).expect("imports are defined once");
        let instance =
            linker.instantiate_and_start(&mut store, module).expect("the module can be linked");
        let mut vm = Self { store, instance, next_context: 1, root: 0, trap: None };
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
        self.store.data_mut().current = context;
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

    /// Opens a stream: Envoy has a request, the filter has not seen its headers yet.
    pub fn open(&mut self, root: u32) -> u32 {
        let stream = self.context();
        self.host().streams.insert(stream, Stream::default());
        self.call::<_, ()>(stream, "proxy_on_context_create", (stream, root));
        stream
    }

    /// Runs a request from its headers to the response headers on an open stream.
    pub fn run(&mut self, stream: u32, request: &Request) -> Outcome {
        self.host().log.clear();
        self.host().calls.clear();
        let answer = self.decode(stream, request);
        let host = self.host();
        let state = host.streams.get(&stream);
        Outcome {
            answer,
            audit: state
                .and_then(|state| state.filter_state.get(&b"portcullis.audit"[..]).cloned()),
            log: std::mem::take(&mut host.log),
            calls: std::mem::take(&mut host.calls),
        }
    }

    fn decode(&mut self, stream: u32, request: &Request) -> Answer {
        if let Some(state) = self.host().streams.get_mut(&stream) {
            let properties = [
                (&b"source\0address"[..], &request.source_address),
                (b"xds\0route_name", &request.route_name),
            ];
            state.properties = properties
                .into_iter()
                .filter_map(|(path, value)| Some((path.to_vec(), value.clone()?)))
                .collect();
        }
        let end = request.trailers.is_none();
        let name = "proxy_on_request_headers";
        let (headers, stopped) =
            match self.callback(stream, name, REQUEST_HEADERS, &request.headers, end) {
                Ok(seen) => seen,
                Err(trap) => return Answer::Trapped(trap),
            };
        if stopped.is_some() {
            return self.stopped(stream);
        }
        let mut trailers = Vec::new();
        if let Some(sent) = &request.trailers {
            let name = "proxy_on_request_trailers";
            match self.callback(stream, name, REQUEST_TRAILERS, sent, true) {
                Ok((_, Some(()))) => return self.stopped(stream),
                Ok((seen, None)) => trailers = seen,
                Err(trap) => return Answer::Trapped(trap),
            }
        }
        let upstream = pairs(&[(":status", "200")]);
        let name = "proxy_on_response_headers";
        match self.callback(stream, name, RESPONSE_HEADERS, &upstream, true) {
            Ok((mut response, None)) => {
                response.drain(..upstream.len().min(response.len()));
                Answer::Forwarded { headers, trailers, response }
            }
            Ok((_, Some(()))) => Answer::Stalled,
            Err(trap) => Answer::Trapped(trap),
        }
    }

    /// Runs one header callback. Gives the map as the filter left it, and whether it stopped.
    fn callback(
        &mut self,
        stream: u32,
        name: &str,
        map: usize,
        lines: &[Pair],
        end: bool,
    ) -> Result<(Vec<Pair>, Option<()>), String> {
        if let Some(state) = self.host().streams.get_mut(&stream) {
            state.maps[map] = Some(lines.to_vec());
        }
        let count = u32::try_from(lines.len()).expect("fewer than 2^32 lines");
        let result: Option<u32> = if map == REQUEST_TRAILERS {
            self.call(stream, name, (stream, count))
        } else {
            self.call(stream, name, (stream, count, u32::from(end)))
        };
        if let Some(trap) = &self.trap {
            return Err(trap.clone());
        }
        let state = self.host().streams.get_mut(&stream);
        let (lines, replied) = state.map_or_else(Default::default, |state| {
            (state.maps[map].take().unwrap_or_default(), !state.replies.is_empty())
        });
        let go_on = result.is_none_or(|result| result == CONTINUE);
        // The host stops after a local reply whatever the filter says.
        Ok((lines, (!go_on || (map != RESPONSE_HEADERS && replied)).then_some(())))
    }

    /// What happens to a stream that the filter stopped: its reply runs through the response
    /// callback, as in Envoy.
    fn stopped(&mut self, stream: u32) -> Answer {
        let Some(state) = self.host().streams.get_mut(&stream) else { return Answer::Stalled };
        if state.reset {
            return Answer::Reset;
        }
        assert!(state.replies.len() <= 1, "two local replies hang the caller");
        let Some(mut reply) = state.replies.first().cloned() else { return Answer::Stalled };
        let name = "proxy_on_response_headers";
        match self.callback(stream, name, RESPONSE_HEADERS, &reply.headers, true) {
            Ok((headers, _)) => {
                reply.headers = headers;
                Answer::Replied(reply)
            }
            Err(trap) => Answer::Trapped(trap),
        }
    }

    /// Sends trailers on an open stream, whatever came before. True: they go on.
    ///
    /// # Panics
    /// When the VM is dead.
    pub fn trailers(&mut self, stream: u32, lines: &[Pair]) -> (bool, Vec<Pair>) {
        let name = "proxy_on_request_trailers";
        let seen = self.callback(stream, name, REQUEST_TRAILERS, lines, true);
        let (lines, stopped) = seen.expect("the VM lives");
        (stopped.is_none(), lines)
    }

    /// Ends a stream or a root context.
    pub fn close(&mut self, context: u32) {
        self.call::<_, u32>(context, "proxy_on_done", context);
        self.call::<_, ()>(context, "proxy_on_delete", context);
        self.host().streams.remove(&context);
    }

    /// Runs the timer of a root context.
    pub fn tick(&mut self, root: u32) {
        self.call::<_, ()>(root, "proxy_on_tick", root);
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
    MODULE.get_or_init(|| {
        let path = std::env::var_os("PORTCULLIS_WASM").unwrap_or_else(|| {
            concat!(env!("CARGO_MANIFEST_DIR"), "/../target/portcullis.wasm").into()
        });
        let bytes = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; run scripts/build", path.display());
        });
        Module::new(&Engine::default(), &bytes).expect("a valid module")
    })
}
