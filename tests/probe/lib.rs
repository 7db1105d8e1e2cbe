//! Runs signatures through both verifiers of the filter, inside Envoy, while it is configured.
//!
//! It is built from the filter's own `abi` and `native` and is never shipped. The configuration is a
//! list of groups: `keys`, a key set, or the `secret` of an `algorithm`; and `signatures`, each a text
//! and a signature in hex, for one `algorithm`; or `tokens`; or one token to be `changed` in every bit
//! and length. Each group becomes one line of the log, with one letter a signature.

#![expect(unsafe_code, reason = "exports of a Wasm module are `unsafe(no_mangle)`")]

#[path = "../../src/filter"]
#[expect(dead_code, unused_imports, reason = "a part of the filter does not need all of it")]
mod filter {
    pub(crate) mod abi;
    pub(crate) mod native;
}
mod group;

use filter::abi;

use abi::{Inbox, Level};
use filter::native::Native;
use group::Group;
use portcullis_core::config::Node;

/// The key of shared data under which a run says that it was one.
const DONE: &[u8] = b"probe";

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
extern "C" fn proxy_on_configure(_root: u32, size: usize) -> u32 {
    let inbox = Inbox::open();
    // Envoy configures a module several times in a row: once is enough.
    if abi::shared(&inbox, DONE).is_ok_and(|done| done.is_some()) {
        return 1;
    }
    let accepted = abi::configuration(&inbox, size).is_ok_and(|text| run(&inbox, text).is_some());
    u32::from(accepted && abi::set_shared(DONE, b"", 0) == Ok(true))
}

/// `None`: the configuration is not what the first lines of this file say.
fn run(inbox: &Inbox, text: &[u8]) -> Option<()> {
    let groups = Node::from_json(text).ok()?;
    let native = Native::probe(inbox);
    abi::log(Level::Info, &format!("probe: {native}"));
    for group in groups.items() {
        let group = Group::read(group)?;
        let letters: String = group.letters(&native)?;
        abi::log(Level::Info, &format!("probe of {}: {letters}.", group.name));
    }
    Some(())
}
