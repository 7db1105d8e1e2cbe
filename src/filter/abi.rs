//! The host's side of proxy-wasm ABI 0.2.1 as functions over byte slices.
//!
//! Only this file and those below `abi/` have `unsafe` blocks. It knows the calls and their statuses,
//! not what they are for. Every status that the host can answer becomes a `Result`: none of them
//! panics, because a panic takes down all later requests of the worker.

pub(crate) mod callout;
mod foreign;
mod process;
mod raw;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

pub(crate) use foreign::call_foreign;
pub(crate) use process::{add, define_metric, record, set_shared, shared};

/// A host call that did not do what it was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostFault {
    call: &'static str,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A status other than the ones that the call has a meaning for.
    Status(u32),
    /// The status was good and the bytes were not what the ABI promises.
    Malformed,
}

impl HostFault {
    /// The host's data for `call` cannot be read.
    pub(crate) const fn malformed(call: &'static str) -> Self {
        Self { call, answer: Answer::Malformed }
    }
}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.answer {
            Answer::Status(status) => write!(f, "host call `{}` answered {status}", self.call),
            Answer::Malformed => write!(f, "host call `{}` gave malformed data", self.call),
        }
    }
}

/// Statuses with a meaning of their own; all others are faults.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;

/// The header maps that the filter touches.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    CallResponseHeaders = 6,
}

/// How loud a log line is.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// What kind of number a metric is.
#[derive(Clone, Copy)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
}

/// Starts the C library. The host calls this once a VM, before anything else; without it the linker
/// would start and end the C library around every single callback.
pub(crate) fn initialize() {
    raw::__wasm_call_ctors();
}

/// Where the host puts the bytes that it hands over.
///
/// The host calls back into [`allocate`] for every value it returns. Most requests fit into one
/// block that is used again and again; what does not fit lives until the inbox is closed. Slices are
/// borrowed from the inbox, so nothing can be read after the block was handed out anew.
pub(crate) struct Inbox(PhantomData<*const ()>);

/// Words of the block, 16 KiB: headers, address, route name and buckets of one ordinary request.
const BLOCK: usize = 2_048;

struct Store {
    block: Vec<u64>,
    used: usize,
    large: Vec<Vec<u64>>,
    last: (*const u8, usize),
}

thread_local! {
    static OPEN: Cell<u32> = const { Cell::new(0) };
    static STORE: RefCell<Store> = const {
        RefCell::new(Store { block: Vec::new(), used: 0, large: Vec::new(), last: (ptr::null(), 0) })
    };
}

impl Inbox {
    /// Opens the inbox for one callback.
    pub(crate) fn open() -> Self {
        OPEN.set(OPEN.get().saturating_add(1));
        Self(PhantomData)
    }
}

/// The bytes that the host says it wrote, if they are the ones it asked room for.
fn received<'m>(
    _inbox: &'m Inbox,
    call: &'static str,
    data: *const u8,
    size: usize,
) -> Result<&'m [u8], HostFault> {
    if size == 0 {
        return Ok(&[]);
    }
    let last = STORE.with(|store| store.try_borrow().map(|store| store.last));
    match last {
        Ok((start, room)) if !data.is_null() && start == data && size <= room => {
            // SAFETY: `data` is the start of the last allocation of `room` initialised bytes, which
            // stays in place and is not handed out again before the inbox is closed.
            Ok(unsafe { std::slice::from_raw_parts(data, size) })
        }
        _ => Err(HostFault::malformed(call)),
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let open = OPEN.get().saturating_sub(1);
        OPEN.set(open);
        if open == 0 {
            STORE.with(|store| {
                if let Ok(mut store) = store.try_borrow_mut() {
                    store.used = 0;
                    store.large = Vec::new();
                    store.last = (ptr::null(), 0);
                }
            });
        }
    }
}

/// Makes room for `size` bytes that the host is about to write; null when there is none.
pub(crate) fn allocate(size: usize) -> *const u8 {
    STORE.with(|store| {
        let Ok(mut store) = store.try_borrow_mut() else { return ptr::null() };
        let store = &mut *store;
        let words = size.div_ceil(size_of::<u64>());
        if store.block.is_empty() {
            store.block = vec![0; BLOCK];
        }
        let end = store.used.saturating_add(words);
        let room = if let Some(room) = store.block.get(store.used..end) {
            store.used = end;
            room.as_ptr()
        } else {
            let mut room = Vec::new();
            if room.try_reserve_exact(words).is_err() {
                return ptr::null();
            }
            room.resize(words, 0_u64);
            let start = room.as_ptr();
            store.large.push(room);
            start
        };
        store.last = (room.cast(), size);
        room.cast()
    })
}

const fn done(call: &'static str, status: u32) -> Result<(), HostFault> {
    match status {
        OK => Ok(()),
        status => Err(HostFault { call, answer: Answer::Status(status) }),
    }
}

/// Writes one line to Envoy's log. A log that cannot be written is nobody's reason to fail.
pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: pointer and length are of one live slice, which the host only reads.
    let _ = unsafe { raw::proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Asks for a tick of the current root context every `millis` milliseconds.
pub(crate) fn tick_every(millis: u32) -> Result<(), HostFault> {
    // SAFETY: numbers only.
    done("proxy_set_tick_period_milliseconds", unsafe {
        raw::proxy_set_tick_period_milliseconds(millis)
    })
}

/// Nanoseconds since the unix epoch.
pub(crate) fn now() -> Result<u64, HostFault> {
    let mut time = 0;
    // SAFETY: the host writes 8 bytes to a live u64.
    done("proxy_get_current_time_nanoseconds", unsafe {
        raw::proxy_get_current_time_nanoseconds(&raw mut time)
    })?;
    Ok(time)
}

/// Nanoseconds on a clock that nobody sets, the same one for all threads.
pub(crate) fn steady() -> Result<u64, HostFault> {
    const MONOTONIC: u32 = 1;
    let mut time = 0;
    // SAFETY: the host writes 8 bytes to a live u64.
    done("clock_time_get", unsafe { raw::clock_time_get(MONOTONIC, 0, &raw mut time) })?;
    Ok(time)
}

/// The buffers that the filter reads.
#[derive(Clone, Copy)]
enum Buffer {
    CallResponseBody = 4,
    GrpcMessage = 5,
    PluginConfiguration = 7,
}

/// The plugin's configuration, `size` bytes of it.
pub(crate) fn configuration(inbox: &Inbox, size: usize) -> Result<&[u8], HostFault> {
    buffer(inbox, Buffer::PluginConfiguration, size)
}

fn buffer(inbox: &Inbox, buffer: Buffer, size: usize) -> Result<&[u8], HostFault> {
    const CALL: &str = "proxy_get_buffer_bytes";
    let (mut data, mut written) = (ptr::null(), 0);
    // SAFETY: the host writes a pointer and a length to live variables.
    done(CALL, unsafe {
        raw::proxy_get_buffer_bytes(buffer as u32, 0, size, &raw mut data, &raw mut written)
    })?;
    received(inbox, CALL, data, written)
}

/// All lines of a header map, serialized as the ABI says.
pub(crate) fn header_pairs(inbox: &Inbox, map: Map) -> Result<&[u8], HostFault> {
    const CALL: &str = "proxy_get_header_map_pairs";
    let (mut data, mut size) = (ptr::null(), 0);
    // SAFETY: the host writes a pointer and a length to live variables.
    done(CALL, unsafe {
        raw::proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size)
    })?;
    received(inbox, CALL, data, size)
}

/// Adds a line to a header map.
pub(crate) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostFault> {
    // SAFETY: pointers and lengths are of live slices, which the host only reads.
    done("proxy_add_header_map_value", unsafe {
        raw::proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Replaces every line of that name in a header map by one.
pub(crate) fn replace_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostFault> {
    // SAFETY: pointers and lengths are of live slices, which the host only reads.
    done("proxy_replace_header_map_value", unsafe {
        raw::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes every line of that name from a header map.
pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), HostFault> {
    // SAFETY: pointer and length are of one live slice, which the host only reads.
    done("proxy_remove_header_map_value", unsafe {
        raw::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len())
    })
}

/// Envoy's answer for an attribute, its path joined by zero bytes; `None` where it has none.
pub(crate) fn property<'m>(inbox: &'m Inbox, path: &[u8]) -> Result<Option<&'m [u8]>, HostFault> {
    const CALL: &str = "proxy_get_property";
    let (mut data, mut size) = (ptr::null(), 0);
    // SAFETY: the path is a live slice, the host writes a pointer and a length to live variables.
    let status =
        unsafe { raw::proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) };
    if status == NOT_FOUND {
        return Ok(None);
    }
    done(CALL, status)?;
    received(inbox, CALL, data, size).map(Some)
}

/// Leaves a value in the request's filter state, for the access log.
pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<(), HostFault> {
    // SAFETY: pointers and lengths are of live slices, which the host only reads.
    done("proxy_set_property", unsafe {
        raw::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
    })
}

/// Answers the request in the upstream's place. `headers` is serialized as the ABI says.
pub(crate) fn reply(
    status: u16,
    details: &str,
    headers: &[u8],
    body: &[u8],
    grpc_status: Option<u8>,
) -> Result<(), HostFault> {
    // SAFETY: pointers and lengths are of live slices, which the host only reads.
    done("proxy_send_local_response", unsafe {
        raw::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(-1, i32::from),
        )
    })
}

/// Resets the request: what is left when not even a reply can be sent.
pub(crate) fn reset_request() -> Result<(), HostFault> {
    const REQUEST: u32 = 0;
    // SAFETY: numbers only.
    done("proxy_close_stream", unsafe { raw::proxy_close_stream(REQUEST) })
}

/// Fills `buffer` with random bytes that nobody outside the process can guess.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), HostFault> {
    // SAFETY: the host writes at most the length of one live, exclusive slice.
    done("random_get", unsafe { raw::random_get(buffer.as_mut_ptr(), buffer.len()) })
}
