//! Functions that the host offers by name, beside the calls of the ABI.

use std::ptr;

use super::{HostFault, Inbox, done, raw, received};

/// Calls a function of the host; an error where it has none of that name. The answer is the
/// function's own, also where it says that the function failed.
pub(crate) fn call_foreign<'m>(
    inbox: &'m Inbox,
    name: &str,
    arguments: &[u8],
) -> Result<&'m [u8], HostFault> {
    const CALL: &str = "proxy_call_foreign_function";
    let (mut data, mut size) = (ptr::null(), 0);
    // SAFETY: name and arguments are live slices, which the host only reads; it writes a pointer and
    // a length to live variables.
    done(CALL, unsafe {
        raw::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &raw mut data,
            &raw mut size,
        )
    })?;
    received(inbox, CALL, data, size)
}
