//! What all VMs of the process share: values, and metrics.

use std::ptr;

use super::{CAS_MISMATCH, HostFault, Inbox, MetricKind, NOT_FOUND, done, raw, received};

/// A shared value and the version that a later swap must name; `None` where the key is absent.
pub(crate) fn shared<'m>(
    inbox: &'m Inbox,
    key: &[u8],
) -> Result<Option<(&'m [u8], u32)>, HostFault> {
    const CALL: &str = "proxy_get_shared_data";
    let (mut data, mut size, mut version) = (ptr::null(), 0, 0);
    // SAFETY: the key is a live slice, the host writes to live variables.
    let status = unsafe {
        raw::proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut data,
            &raw mut size,
            &raw mut version,
        )
    };
    if status == NOT_FOUND {
        return Ok(None);
    }
    done(CALL, status)?;
    Ok(Some((received(inbox, CALL, data, size)?, version)))
}

/// Sets a shared value if its version is still `version`; version 0 sets it in any case.
///
/// False: somebody else was faster. The host ignores the version of a key that is absent.
pub(crate) fn set_shared(key: &[u8], value: &[u8], version: u32) -> Result<bool, HostFault> {
    // SAFETY: pointers and lengths are of live slices, which the host only reads.
    let status = unsafe {
        raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
    };
    if status == CAS_MISMATCH {
        return Ok(false);
    }
    done("proxy_set_shared_data", status).map(|()| true)
}

/// Defines a metric, or finds the one of that name, and gives its id in this VM.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, HostFault> {
    let mut id = 0;
    // SAFETY: the name is a live slice, the host writes 4 bytes to a live u32.
    done("proxy_define_metric", unsafe {
        raw::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id)
    })?;
    Ok(id)
}

/// Adds to a metric. Only a gauge takes a negative number.
pub(crate) fn add(id: u32, by: i64) -> Result<(), HostFault> {
    // SAFETY: numbers only.
    done("proxy_increment_metric", unsafe { raw::proxy_increment_metric(id, by) })
}

/// Sets a gauge.
pub(crate) fn record(id: u32, value: u64) -> Result<(), HostFault> {
    // SAFETY: numbers only.
    done("proxy_record_metric", unsafe { raw::proxy_record_metric(id, value) })
}
