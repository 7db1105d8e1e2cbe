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
mod host;
mod http;
mod metrics;
mod native;
mod root;

use std::cell::RefCell;
use std::rc::Rc;

use abi::{Inbox, Level};
use buckets::Buckets;
use http::{Http, Next};
use metrics::Metrics;
use root::Roots;

/// All that one VM knows.
#[derive(Default)]
struct Filter {
    roots: Roots,
    http: Http,
    metrics: Metrics,
    buckets: Option<Buckets>,
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
        filter.roots.configure(inbox, root, size, secret)
    });
    u32::from(accepted.unwrap_or(false))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    enter(|filter, _| filter.roots.tick(root, &mut filter.metrics));
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
    let next = enter(|filter, inbox| filter.http.request_trailers(inbox, stream));
    if next == Some(Next::GoOn) { CONTINUE } else { STOP_TRAILERS }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(stream: u32, _lines: u32, _end: u32) -> u32 {
    enter(|filter, _| filter.http.response_headers(stream));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    enter(|filter, _| {
        if filter.roots.is_root(context) {
            filter.roots.remove(context);
        } else {
            filter.http.close(context);
        }
    });
}
