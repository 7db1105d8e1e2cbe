//! The host calls, each doing what Envoy's does.

use wasmi::{Caller, Error, Linker};

use super::guest::{Guest, deserialize, serialize};
use super::host::{Call, Host, Reply};
use crate::branches;

type Status = Result<u32, Error>;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const INVALID_MEMORY_ACCESS: u32 = 6;
const CAS_MISMATCH: u32 = 8;
const INTERNAL_FAILURE: u32 = 10;

/// Enters a call; answers at once if a test wants it so.
macro_rules! enter {
    ($caller:expr, $call:literal) => {{
        let mut guest = Guest::new($caller)?;
        match guest.host().enter($call)? {
            Call::GoOn => guest,
            Call::Answer(status) => return Ok(status),
            Call::HandOver(_) => return Err(Error::new(concat!($call, " hands over nothing"))),
        }
    }};
    ($caller:expr, $call:literal, $to:expr, $size_to:expr) => {{
        let mut guest = Guest::new($caller)?;
        match guest.host().enter($call)? {
            Call::GoOn => guest,
            Call::Answer(status) => return Ok(status),
            Call::HandOver(bytes) => return guest.hand_over(&bytes, $to, $size_to),
        }
    }};
}

/// The value of an `Option`, or an answer.
macro_rules! get {
    ($value:expr, $otherwise:expr) => {
        match $value {
            Some(value) => value,
            None => return Ok($otherwise),
        }
    };
}

type Caller_<'c> = Caller<'c, Host>;

// Behind the macros, which it uses.
mod outside;

use outside::{
    continue_stream, environ, environ_sizes, grpc_call, http_call, set_effective_context,
};

/// Everything that the module may import.
pub(super) fn linker(engine: &wasmi::Engine) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    let env = "env";
    linker.func_wrap(env, "proxy_log", log)?;
    linker.func_wrap(env, "proxy_set_tick_period_milliseconds", set_tick_period)?;
    linker.func_wrap(env, "proxy_get_current_time_nanoseconds", current_time)?;
    linker.func_wrap(env, "proxy_get_buffer_bytes", buffer_bytes)?;
    linker.func_wrap(env, "proxy_get_header_map_pairs", header_map_pairs)?;
    linker.func_wrap(env, "proxy_add_header_map_value", add_header)?;
    linker.func_wrap(env, "proxy_replace_header_map_value", replace_header)?;
    linker.func_wrap(env, "proxy_remove_header_map_value", remove_header)?;
    linker.func_wrap(env, "proxy_get_property", property)?;
    linker.func_wrap(env, "proxy_set_property", set_property)?;
    linker.func_wrap(env, "proxy_send_local_response", local_response)?;
    linker.func_wrap(env, "proxy_close_stream", close_stream)?;
    linker.func_wrap(env, "proxy_continue_stream", continue_stream)?;
    linker.func_wrap(env, "proxy_set_effective_context", set_effective_context)?;
    linker.func_wrap(env, "proxy_http_call", http_call)?;
    linker.func_wrap(env, "proxy_grpc_call", grpc_call)?;
    linker.func_wrap(env, "proxy_get_shared_data", shared_data)?;
    linker.func_wrap(env, "proxy_set_shared_data", set_shared_data)?;
    linker.func_wrap(env, "proxy_define_metric", define_metric)?;
    linker.func_wrap(env, "proxy_increment_metric", increment_metric)?;
    linker.func_wrap(env, "proxy_record_metric", record_metric)?;
    linker.func_wrap(env, "proxy_call_foreign_function", call_foreign_function)?;
    linker.func_wrap(branches::IMPORT.0, branches::IMPORT.1, branch)?;
    let wasi = "wasi_snapshot_preview1";
    linker.func_wrap(wasi, "random_get", random)?;
    linker.func_wrap(wasi, "clock_time_get", clock)?;
    linker.func_wrap(wasi, "fd_write", fd_write)?;
    linker.func_wrap(wasi, "environ_get", environ)?;
    linker.func_wrap(wasi, "environ_sizes_get", environ_sizes)?;
    linker.func_wrap(wasi, "proc_exit", |_: Caller_<'_>, code: u32| -> Result<(), Error> {
        Err(Error::new(format!("the module exited with {code}")))
    })?;
    Ok(linker)
}

/// Of a module that tells of its branches; that is no call to the host.
fn branch(mut caller: Caller_<'_>, condition: u32, place: u32) -> u32 {
    caller.data_mut().branches.entry(place).or_default()[usize::from(condition != 0)] += 1;
    condition
}

fn log(caller: Caller_<'_>, level: u32, text: u32, size: u32) -> Status {
    let mut guest = enter!(caller, "proxy_log");
    let names = ["trace", "debug", "info", "warn", "error", "critical"];
    let level = get!(names.get(level as usize), BAD_ARGUMENT);
    let text = get!(guest.text(text, size), INVALID_MEMORY_ACCESS);
    guest.host().log.push(format!("{level}: {text}"));
    Ok(OK)
}

fn set_tick_period(caller: Caller_<'_>, period: u32) -> Status {
    let mut guest = enter!(caller, "proxy_set_tick_period_milliseconds");
    let host = guest.host();
    host.ticks.insert(host.root(), period);
    Ok(OK)
}

fn current_time(caller: Caller_<'_>, to: u32) -> Status {
    let mut guest = enter!(caller, "proxy_get_current_time_nanoseconds");
    let now = guest.host().process.now();
    Ok(if guest.write(to, &now.to_le_bytes()) { OK } else { INVALID_MEMORY_ACCESS })
}

fn buffer_bytes(
    caller: Caller_<'_>,
    buffer: u32,
    start: u32,
    size: u32,
    to: u32,
    size_to: u32,
) -> Status {
    const CALL_RESPONSE_BODY: u32 = 4;
    const GRPC_MESSAGE: u32 = 5;
    const PLUGIN_CONFIGURATION: u32 = 7;
    let mut guest = enter!(caller, "proxy_get_buffer_bytes", to, size_to);
    let host = guest.host();
    let bytes = match buffer {
        CALL_RESPONSE_BODY => host.call_response.as_ref().map(|(_, body)| body.clone()),
        GRPC_MESSAGE => host.grpc_message.clone(),
        PLUGIN_CONFIGURATION => host.configuration.clone(),
        _ => None,
    };
    let bytes = get!(bytes, NOT_FOUND);
    let range = start as usize..(start as usize).saturating_add(size as usize);
    let bytes = get!(bytes.get(range), BAD_ARGUMENT).to_vec();
    // Envoy writes nothing at all where it is asked for nothing.
    if bytes.is_empty() { Ok(OK) } else { guest.hand_over(&bytes, to, size_to) }
}

fn header_map_pairs(caller: Caller_<'_>, map: u32, to: u32, size_to: u32) -> Status {
    let mut guest = enter!(caller, "proxy_get_header_map_pairs", to, size_to);
    // Envoy answers `Ok` and nothing at all for a map that is not there or empty.
    let bytes = match guest.host().map(map) {
        Some(pairs) if !pairs.is_empty() => serialize(pairs),
        _ => Vec::new(),
    };
    guest.hand_over(&bytes, to, size_to)
}

fn add_header(caller: Caller_<'_>, map: u32, n: u32, n_size: u32, v: u32, v_size: u32) -> Status {
    let mut guest = enter!(caller, "proxy_add_header_map_value");
    let name = get!(guest.read(n, n_size), INVALID_MEMORY_ACCESS).to_ascii_lowercase();
    let value = get!(guest.read(v, v_size), INVALID_MEMORY_ACCESS);
    get!(guest.host().map(map), BAD_ARGUMENT).push((name, value));
    Ok(OK)
}

fn replace_header(
    caller: Caller_<'_>,
    map: u32,
    n: u32,
    n_size: u32,
    v: u32,
    v_size: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_replace_header_map_value");
    let name = get!(guest.read(n, n_size), INVALID_MEMORY_ACCESS).to_ascii_lowercase();
    let value = get!(guest.read(v, v_size), INVALID_MEMORY_ACCESS);
    let pairs = get!(guest.host().map(map), BAD_ARGUMENT);
    pairs.retain(|(held, _)| *held != name);
    pairs.push((name, value));
    Ok(OK)
}

fn remove_header(caller: Caller_<'_>, map: u32, n: u32, n_size: u32) -> Status {
    let mut guest = enter!(caller, "proxy_remove_header_map_value");
    let name = get!(guest.read(n, n_size), INVALID_MEMORY_ACCESS).to_ascii_lowercase();
    get!(guest.host().map(map), BAD_ARGUMENT).retain(|(held, _)| *held != name);
    Ok(OK)
}

fn property(caller: Caller_<'_>, path: u32, size: u32, to: u32, size_to: u32) -> Status {
    let mut guest = enter!(caller, "proxy_get_property", to, size_to);
    let path = get!(guest.read(path, size), INVALID_MEMORY_ACCESS);
    if path == b"plugin_vm_id" {
        let id = guest.host().process.vm_id();
        return guest.hand_over(id.as_bytes(), to, size_to);
    }
    let stream = get!(guest.host().stream(), NOT_FOUND);
    let value = get!(stream.properties.get(&path).cloned(), NOT_FOUND);
    guest.hand_over(&value, to, size_to)
}

fn set_property(caller: Caller_<'_>, path: u32, size: u32, v: u32, v_size: u32) -> Status {
    let mut guest = enter!(caller, "proxy_set_property");
    let path = get!(guest.read(path, size), INVALID_MEMORY_ACCESS);
    let value = get!(guest.read(v, v_size), INVALID_MEMORY_ACCESS);
    let path = [b"wasm.", path.as_slice()].concat();
    get!(guest.host().stream(), NOT_FOUND).filter_state.insert(path, value);
    Ok(OK)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own signature")]
fn local_response(
    caller: Caller_<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    grpc_status: i32,
) -> Status {
    let mut guest = enter!(caller, "proxy_send_local_response");
    let details = get!(guest.text(details, details_size), INVALID_MEMORY_ACCESS);
    let body = get!(guest.read(body, body_size), INVALID_MEMORY_ACCESS);
    let headers = get!(guest.read(headers, headers_size), INVALID_MEMORY_ACCESS);
    let headers = deserialize(&headers)?;
    let reply = Reply { status, headers, body, grpc_status, details };
    if let Some(stream) = guest.host().wake() {
        stream.replies.push(reply);
    }
    Ok(OK)
}

fn close_stream(caller: Caller_<'_>, stream: u32) -> Status {
    let mut guest = enter!(caller, "proxy_close_stream");
    if stream > 3 {
        return Ok(BAD_ARGUMENT);
    }
    if let Some(stream) = guest.host().wake() {
        stream.reset = true;
    }
    Ok(OK)
}

fn shared_data(
    caller: Caller_<'_>,
    key: u32,
    size: u32,
    to: u32,
    size_to: u32,
    version_to: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_get_shared_data", to, size_to);
    let key = get!(guest.read(key, size), INVALID_MEMORY_ACCESS);
    let (value, version) = get!(guest.host().process.shared(&key), NOT_FOUND);
    let status = guest.hand_over(&value, to, size_to)?;
    let written = guest.write(version_to, &version.to_le_bytes());
    Ok(if written { status } else { INVALID_MEMORY_ACCESS })
}

fn set_shared_data(
    caller: Caller_<'_>,
    key: u32,
    size: u32,
    v: u32,
    v_size: u32,
    version: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_set_shared_data");
    let key = get!(guest.read(key, size), INVALID_MEMORY_ACCESS);
    let value = get!(guest.read(v, v_size), INVALID_MEMORY_ACCESS);
    let set = guest.host().process.set_shared(&key, &value, version);
    Ok(if set { OK } else { CAS_MISMATCH })
}

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;

fn define_metric(caller: Caller_<'_>, kind: u32, name: u32, size: u32, id_to: u32) -> Status {
    let mut guest = enter!(caller, "proxy_define_metric");
    let name = get!(guest.text(name, size), INVALID_MEMORY_ACCESS);
    if kind > 2 {
        return Ok(BAD_ARGUMENT);
    }
    let host = guest.host();
    host.process.define(&name);
    // As in Envoy, defining a name again gives a new id for the same number.
    host.metrics.push((kind, name));
    let id = u32::try_from(host.metrics.len()).map_err(|_| Error::new("too many metrics"))?;
    Ok(if guest.write(id_to, &id.to_le_bytes()) { OK } else { INVALID_MEMORY_ACCESS })
}

fn metric(host: &Host, id: u32) -> Option<(u32, String)> {
    host.metrics.get((id as usize).checked_sub(1)?).cloned()
}

fn increment_metric(caller: Caller_<'_>, id: u32, by: i64) -> Status {
    let mut guest = enter!(caller, "proxy_increment_metric");
    let (kind, name) = get!(metric(guest.host(), id), NOT_FOUND);
    // A counter only ever grows; a histogram cannot be added to.
    if kind > GAUGE || (kind == COUNTER && by <= 0) {
        return Ok(BAD_ARGUMENT);
    }
    guest.host().process.change(&name, |value| value.saturating_add_signed(by));
    Ok(OK)
}

fn record_metric(caller: Caller_<'_>, id: u32, value: u64) -> Status {
    let mut guest = enter!(caller, "proxy_record_metric");
    let (kind, name) = get!(metric(guest.host(), id), NOT_FOUND);
    guest.host().process.change(&name, |held| if kind == COUNTER { held + value } else { value });
    Ok(OK)
}

/// As an Envoy that has but one of its functions. A test hands over what others would answer.
fn call_foreign_function(
    caller: Caller_<'_>,
    name: u32,
    name_size: u32,
    arguments: u32,
    arguments_size: u32,
    to: u32,
    size_to: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_call_foreign_function", to, size_to);
    let name = get!(guest.text(name, name_size), INVALID_MEMORY_ACCESS);
    let arguments = get!(guest.read(arguments, arguments_size), INVALID_MEMORY_ACCESS);
    if name != "set_envoy_filter_state" {
        return Ok(NOT_FOUND);
    }
    Ok(set_envoy_filter_state(guest.host(), &arguments).map_or_else(|status| status, |()| OK))
}

/// Only what Envoy has a factory for can be set: a path (field 1) and its value (field 2).
fn set_envoy_filter_state(host: &mut Host, arguments: &[u8]) -> Result<(), u32> {
    let mut texts = [None; 2];
    let mut rest = arguments;
    while let Some(([tag, size], left)) = rest.split_first_chunk() {
        let place = texts.iter_mut().zip([0x0a, 0x12]).find(|(_, field)| field == tag);
        let (text, left) = left.split_at_checked(usize::from(*size)).ok_or(BAD_ARGUMENT)?;
        *place.ok_or(BAD_ARGUMENT)?.0 = Some(text);
        rest = left;
    }
    let [Some(path), Some(value)] = texts else { return Err(BAD_ARGUMENT) };
    if path != b"envoy.ratelimit.hits_addend" {
        return Err(NOT_FOUND);
    }
    let number = str::from_utf8(value).ok().and_then(|text| text.parse::<u32>().ok());
    number.ok_or(BAD_ARGUMENT)?;
    let stream = host.stream().ok_or(NOT_FOUND)?;
    stream.filter_state.insert(path.to_vec(), value.to_vec());
    Ok(())
}

fn random(caller: Caller_<'_>, to: u32, size: u32) -> Status {
    let mut guest = enter!(caller, "random_get");
    let bytes = guest.host().process.random(size as usize);
    Ok(if guest.write(to, &bytes) { OK } else { 21 })
}

fn clock(caller: Caller_<'_>, clock: u32, _precision: u64, to: u32) -> Status {
    const NOT_SUPPORTED: u32 = 58;
    const FAULT: u32 = 21;
    let mut guest = enter!(caller, "clock_time_get");
    let process = guest.host().process.clone();
    let time = match clock {
        0 => process.now(),
        1 => process.steady(),
        _ => return Ok(NOT_SUPPORTED),
    };
    Ok(if guest.write(to, &time.to_le_bytes()) { OK } else { FAULT })
}

/// Standard output and error go to the log, as in Envoy.
fn fd_write(caller: Caller_<'_>, fd: u32, vectors: u32, count: u32, written_to: u32) -> Status {
    const BAD_FILE: u32 = 8;
    const FAULT: u32 = 21;
    let mut guest = enter!(caller, "fd_write");
    if fd != 1 && fd != 2 {
        return Ok(BAD_FILE);
    }
    let vectors = get!(guest.read(vectors, count * 8), FAULT);
    let mut text = String::new();
    for vector in vectors.chunks_exact(8) {
        let word = |at: usize| vector.iter().skip(at).take(4).rev();
        let number = |at| word(at).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        text += &get!(guest.text(number(0), number(4)), FAULT);
    }
    let written = u32::try_from(text.len()).map_err(|_| Error::new("a log line over 4 GiB"))?;
    guest.host().log.push(format!("fd {fd}: {}", text.trim_end_matches('\n')));
    Ok(if guest.write(written_to, &written.to_le_bytes()) { OK } else { FAULT })
}
