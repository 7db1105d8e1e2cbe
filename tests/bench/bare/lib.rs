//! A bare filter: it fetches the request's header map and leaves one property, and decides nothing.
//!
//! `scripts/bench` holds the public route against it: what a filter in Wasm costs at the very least.

#![expect(unsafe_code, reason = "imports and exports of a Wasm module are `unsafe`")]

use std::cell::UnsafeCell;
use std::ptr;

/// Bytes of the one block that the host writes header lines to.
const BLOCK: usize = 64 * 1_024;
const REQUEST_HEADERS: u32 = 0;
const CONTINUE: u32 = 0;
/// Where Portcullis leaves its record, so that the same access log can print it.
const PROPERTY: &[u8] = b"portcullis.audit";

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *const u8, size: *mut usize) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
}

struct Block(UnsafeCell<[u8; BLOCK]>);

// SAFETY: a VM has one thread.
unsafe impl Sync for Block {}

static RECEIVED: Block = Block(UnsafeCell::new([0; BLOCK]));

/// Without it the linker would start and end the C library around every callback.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    if size > BLOCK { ptr::null_mut() } else { RECEIVED.0.get().cast() }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_stream: u32, lines: u32, _ends: u32) -> u32 {
    let (mut data, mut size) = (ptr::null(), 0);
    let value: &[u8] = if lines == 0 { b"{}" } else { br#"{"outcome":"allowed"}"# };
    // SAFETY: the pointers lead to values that live until the calls are over.
    unsafe {
        proxy_get_header_map_pairs(REQUEST_HEADERS, &raw mut data, &raw mut size);
        proxy_set_property(PROPERTY.as_ptr(), PROPERTY.len(), value.as_ptr(), value.len());
    }
    CONTINUE
}
