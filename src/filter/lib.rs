//! Portcullis's enforcement: the Wasm filter that Envoy loads.
//!
//! It shows each request to the core and carries out what the core decides. It interprets and decides
//! nothing itself; where the host fails it, the request is refused.
//!
//! Every export that Envoy finds is called on every request (0.1 to 0.2 µs each), so there are no others
//! than those below. `src/README.md` has the reason of each.

#![expect(unsafe_code, reason = "exports of a Wasm module are `unsafe(no_mangle)`")]

mod abi;
mod buckets;
mod fleet;
mod flights;
mod generation;
mod host;
mod http;
mod keys;
mod leases;
mod metrics;
mod native;
mod root;
mod waiting;

use std::cell::RefCell;
use std::rc::Rc;

use abi::{Inbox, Level};
use buckets::Buckets;
use generation::{Call, Generation};
use http::{Http, Next};
use metrics::Metrics;
use portcullis_core::Timestamp;
use root::Roots;

/// All that one VM knows.
#[derive(Default)]
struct Filter {
    roots: Roots,
    http: Http,
    metrics: Metrics,
    buckets: Option<Buckets>,
}

impl Filter {
    /// A root context's timer ran.
    fn tick(&mut self, inbox: &Inbox, root: u32) {
        self.metrics.hand_over();
        let gateway = self.roots.generation(root).map_or("", |held| held.policy.gateway());
        self.http.tick(inbox, gateway, &mut self.metrics);
        let Ok(now) = host::now() else { return };
        // And those generations whose last requests wait: they have no timer of their own.
        let roots = &self.roots;
        let current = roots.generation(root);
        let is_left = |generation: &Generation| {
            let is_current =
                current.is_some_and(|current| std::ptr::eq(&raw const **current, generation));
            !is_current && (generation.root == root || !roots.is_root(generation.root))
        };
        let left = self.http.waiting.generations(is_left);
        for generation in current.into_iter().chain(&left) {
            let awaited = self.http.waiting.awaited(generation);
            generation.look_for_keys(inbox, now, &awaited, &mut self.metrics);
        }
        if let Some(current) = current {
            current.count_breaker(&mut self.metrics);
        }
        self.roots.gauges(root, now, &mut self.metrics);
        self.resume(inbox, root, now);
    }

    /// An answer to a call came. One that nobody waits for is ignored.
    fn answer(&mut self, inbox: &Inbox, root: u32, call: Call) {
        let Ok(now) = host::now() else { return };
        let left = self.http.waiting.generations(|_| true);
        let mut takes =
            |held: &Rc<Generation>| held.take_answer(inbox, now, call, &mut self.metrics);
        if self.roots.generations().any(&mut takes) || left.iter().any(takes) {
            self.resume(inbox, root, now);
        }
    }

    fn resume(&mut self, inbox: &Inbox, root: u32, now: Timestamp) {
        let Self { roots, http, metrics, buckets } = self;
        let is_resuming = http.resume(inbox, root, now, buckets.as_ref(), metrics);
        if let Some(generation) = roots.generation(root) {
            let is_waited = http.waiting.is_any_of(root);
            // Who waits for the service is told of its answer: the timer is for answers that are lost.
            let is_soon =
                metrics.is_waiting() || http.buckets.is_in_flight() || !http.waiting.is_empty();
            generation.set_timer(now, is_resuming, is_waited, is_soon);
        }
    }
}

thread_local! {
    static FILTER: RefCell<Option<Filter>> = const { RefCell::new(None) };
}

/// Runs one callback. `None`: the host entered the filter a second time, which it must not.
fn enter<T>(callback: impl FnOnce(&mut Filter, &Inbox) -> T) -> Option<T> {
    FILTER.with(|filter| {
        let mut filter = filter.try_borrow_mut().ok()?;
        let inbox = Inbox::open();
        Some(callback(filter.get_or_insert_default(), &inbox))
    })
}

/// What header callbacks answer: `StopAllIterationAndWatermark` holds headers, body and trailers back.
const CONTINUE: u32 = 0;
const STOP_ALL: u32 = 4;
const STOP_TRAILERS: u32 = 1;

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    abi::initialize();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *const u8 {
    abi::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    enter(|filter, _| {
        if parent != 0 {
            let generation = filter.roots.generation(parent).map(Rc::clone);
            filter.http.open(context, generation);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
    let accepted = enter(|filter, inbox| {
        if filter.buckets.is_none() {
            match Buckets::open(inbox) {
                Ok(buckets) => filter.buckets = Some(buckets),
                Err(fault) => {
                    abi::log(Level::Error, &format!("limits cannot be kept: {fault}"));
                    return false;
                }
            }
        }
        let secret = filter.buckets.as_ref().map_or([0; 16], |buckets| buckets.secret());
        filter.roots.configure(
            inbox,
            root,
            size,
            secret,
            &mut filter.http.buckets,
            &mut filter.metrics,
        )
    });
    u32::from(accepted.unwrap_or(false))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    enter(|filter, inbox| filter.tick(inbox, root));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    root: u32,
    token: u32,
    lines: u32,
    size: usize,
    _trailers: u32,
) {
    enter(|filter, inbox| filter.answer(inbox, root, Call { token, lines, size }));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(root: u32, token: u32, size: usize) {
    answered(root, token, Ok(size));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(root: u32, token: u32, status: u32) {
    answered(root, token, Err(status));
}

/// `came`: the length of a message, or the status of a call without one.
fn answered(root: u32, token: u32, came: Result<usize, u32>) {
    enter(|filter, inbox| {
        let Filter { http, buckets, metrics, .. } = filter;
        http.answered(inbox, (root, token), came, buckets.as_ref(), metrics);
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(stream: u32, _lines: u32, _end: u32) -> u32 {
    let next = enter(|filter, inbox| {
        let Filter { http, buckets, metrics, .. } = filter;
        http.request_headers(inbox, stream, buckets.as_ref(), metrics)
    });
    if next == Some(Next::GoOn) { CONTINUE } else { STOP_ALL }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(stream: u32, _lines: u32) -> u32 {
    let next =
        enter(|filter, inbox| filter.http.request_trailers(inbox, stream, &mut filter.metrics));
    if next == Some(Next::GoOn) { CONTINUE } else { STOP_TRAILERS }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(stream: u32, _lines: u32, _end: u32) -> u32 {
    enter(|filter, inbox| {
        let Filter { http, buckets, metrics, .. } = filter;
        http.response_headers(inbox, stream, buckets.as_ref(), metrics);
    });
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    enter(|filter, inbox| {
        if filter.roots.is_root(context) {
            filter.roots.remove(context, &mut filter.metrics);
        } else {
            filter.http.close(inbox, context, &mut filter.metrics);
            // No timer is left that would.
            if filter.roots.is_empty() {
                filter.metrics.hand_over();
            }
        }
    });
}
