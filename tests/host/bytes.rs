//! Rows W01 to W04, W16: any bytes, any number of lines.

use portcullis_tests::fake_host::{Answer, Request};

use crate::{KEY, decisions, details, get, good, line, vm, vm_of};

/// Bytes that are no UTF-8, among them the scanner's payload of row W02.
const ODD: [&[u8]; 4] = [b"\xff", b"1 \xc0\xa7\xc0\xa2%2527%2522", b"\xed\xa0\x80", b"\0\r\n"];

const NAMES: [&str; 14] = [
    "x-any",
    "cookie",
    "user-agent",
    "authorization",
    "x-api-key",
    ":path",
    ":authority",
    ":method",
    "host",
    "x-forwarded-for",
    "x-request-id",
    "content-type",
    "x-portcullis-consumer",
    "x-geo-country",
];

/// The request with one line's value replaced, or with one more line.
fn set(mut request: Request, name: &str, value: &[u8]) -> Request {
    match request.headers.iter_mut().find(|(held, _)| held == name.as_bytes()) {
        Some((_, held)) => *held = value.to_vec(),
        None => request.headers.push((name.into(), value.to_vec())),
    }
    request
}

#[test]
fn no_bytes_anywhere_trap_the_vm() {
    // rows W01, W02, W03, W04
    let (process, mut one) = vm();
    let mut two = vm_of(&process);
    for round in 0..4 {
        for value in ODD {
            for name in NAMES {
                for base in [get("/public/x"), good()] {
                    let request = set(base, name, value);
                    let vm = if round % 2 == 0 { &mut one } else { &mut two };
                    let outcome = vm.request(&request);
                    assert_eq!(vm.trap(), None, "{name}");
                    assert!(outcome.audit.is_some(), "{name}: {outcome:?}");
                }
            }
        }
    }
    for vm in [&mut one, &mut two] {
        assert_eq!(vm.request(&good()).status(), 200);
    }
    let refused = one.request(&set(good(), "x-api-key", b"\xff"));
    assert_eq!((refused.status(), details(&refused)), (401, "key_unknown"));
    assert_eq!(one.request(&set(get("/public/x"), "x-any", b"\xff")).status(), 200);
}

#[test]
fn odd_names_properties_and_trailers_are_bytes_too() {
    // rows W03, W11
    let (_, mut vm) = vm();
    for value in ODD {
        let named = get("/public/x").with(value, "1");
        assert_eq!(vm.request(&named).status(), 200);
        let trailers = [(value, value)];
        assert_eq!(vm.request(&get("/public/x").with_trailers(&trailers)).status(), 200);
        let from = get("/public/x").from(value);
        assert_eq!(details(&vm.request(&from)), "address_unknown");
        let routed = get("/orders/1").on_route(value);
        assert_eq!(details(&vm.request(&routed)), "credential_missing");
    }
}

#[test]
fn every_number_of_lines_is_decided() {
    // row W16
    let (process, mut vm) = vm();
    for count in [1_023, 1_024, 1_025, 5_000] {
        let mut request = good();
        while request.headers.len() < count {
            request = request.with("x-filler", "1");
        }
        let outcome = vm.request(&request);
        let seen = outcome.forwarded().expect("forwarded");
        assert_eq!(line(seen, "x-portcullis-consumer"), [b"mobile"]);
        assert_eq!(line(seen, "x-api-key"), [b""; 0]);
    }
    let long = good().with("x-filler", vec![b'a'; 60 * 1024]);
    assert_eq!(vm.request(&long).status(), 200);
    vm.tick(vm.root());
    assert_eq!(decisions(&process), 5);
}

#[test]
fn a_caller_does_not_make_memory_grow() {
    // rows W09, W17
    let (process, mut vm) = vm();
    let warm_up = |vm: &mut portcullis_tests::fake_host::Vm| {
        for size in [10, 10_000, 100_000] {
            vm.request(&good().with("x-filler", vec![b'a'; size]));
        }
    };
    warm_up(&mut vm);
    let (memory, keys) = (vm.memory(), process.keys().len());
    for number in 0..1_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        let request = get("/limited/x").from(format!("10.{a}.{b}.{c}:1"));
        assert_eq!(vm.request(&request).status(), 200);
        let path = format!("/nowhere/{number}?api_key={number}");
        assert_eq!(details(&vm.request(&get(&path))), "route_unknown");
    }
    warm_up(&mut vm);
    assert_eq!((vm.memory(), process.keys().len()), (memory, keys));
    assert!(process.metrics().len() < 20, "{:?}", process.metrics());
}

#[test]
fn no_answer_holds_the_key() {
    // rows K12, K13
    let (_, mut vm) = vm();
    for path in ["/orders/1", "/public/1", "/nowhere/1", "/orders/%00"] {
        let outcome = vm.request(&get(path).with("x-api-key", KEY).with("connection", "x-api-key"));
        let everything = format!("{outcome:?}{:?}", outcome.audit.clone().map(String::from_utf8));
        assert!(!everything.contains(KEY), "{everything}");
        if let Answer::Forwarded { headers, .. } = outcome.answer {
            assert!(headers.iter().all(|(_, value)| value != KEY.as_bytes()));
        }
    }
}

#[test]
fn a_flood_of_refusals_writes_no_line_to_the_log() {
    // row A05: the record goes with its request; what the filter itself logs is bounded for each VM.
    let (_process, mut one) = vm();
    let mut lines = 0;
    for number in 0..2_000_u32 {
        let outcome = one.request(&get("/orders/1").with("x-api-key", format!("guess-{number}")));
        assert_eq!((outcome.status(), outcome.audit.is_some()), (401, true));
        lines += outcome.log.len();
    }
    assert_eq!(lines, 0);
}
