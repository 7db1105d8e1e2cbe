//! Row W18: every status from every host call, and data that breaks the ABI's promises.

use portcullis_tests::fake_host::{Answer, Meddle, Vm};

use crate::{SECOND, decisions, details, get, good, vm};

/// Every status of the ABI but `Ok`, and numbers that are none.
const STATUSES: [u32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255, u32::MAX];

/// Calls without which a request cannot be decided, edited or recorded.
const NEEDED: [&str; 8] = [
    "proxy_get_header_map_pairs",
    "proxy_get_current_time_nanoseconds",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_get_shared_data",
];

/// Calls that a request can do without.
const OPTIONAL: [&str; 4] = [
    "proxy_log",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_set_tick_period_milliseconds",
];

/// How often a call is made before the request goes on; later ones are about its response.
fn edits(vm: &mut Vm, call: &str) -> usize {
    let calls = vm.request(&good()).calls;
    let of_the_request = calls.iter().take_while(|made| **made != "proxy_set_property");
    of_the_request.filter(|made| **made == call).count()
}

fn meddled(vm: &mut Vm, call: &'static str, meddle: Meddle) {
    vm.behave();
    vm.meddle(call, 0, usize::MAX, meddle);
}

#[test]
fn a_failing_call_refuses_the_request() {
    // row W18
    let (process, mut vm) = vm();
    for call in NEEDED {
        for status in STATUSES {
            meddled(&mut vm, call, Meddle::Answer(status));
            // No lease is left that would answer in the bucket's place.
            process.advance(6 * SECOND);
            let outcome = vm.request(&good());
            assert_eq!(vm.trap(), None, "{call} {status}");
            // Envoy has no value for an attribute: that is an answer and no fault.
            let absent = call == "proxy_get_property" && status == 1;
            let expected = if absent { (403, "address_unknown") } else { (503, "host_failure") };
            assert_eq!((outcome.status(), details(&outcome)), expected, "{call} {status}");
        }
    }
    for status in STATUSES.into_iter().filter(|status| *status != 8) {
        meddled(&mut vm, "proxy_set_shared_data", Meddle::Answer(status));
        process.advance(2 * SECOND);
        assert_eq!(details(&vm.request(&good())), "host_failure", "{status}");
    }
    vm.behave();
    assert_eq!(vm.request(&good()).status(), 200);
    vm.tick(vm.root());
    assert!(decisions(&process) > 0);
}

#[test]
fn a_call_that_fails_late_refuses_as_well() {
    // rows W16, W18: the second of two edits, with the first one made.
    let (_, mut vm) = vm();
    for skip in 0..4 {
        for call in [
            "proxy_add_header_map_value",
            "proxy_replace_header_map_value",
            "proxy_remove_header_map_value",
        ] {
            vm.behave();
            let edits = edits(&mut vm, call);
            vm.meddle(call, skip, 1, Meddle::Answer(2));
            let outcome = vm.request(&good());
            let expected = if skip < edits { "host_failure" } else { "" };
            assert_eq!(details(&outcome), expected, "{call} {skip}");
        }
    }
}

#[test]
fn what_only_informs_may_fail() {
    // row W18
    let (_, mut vm) = vm();
    for call in OPTIONAL {
        for status in STATUSES {
            meddled(&mut vm, call, Meddle::Answer(status));
            assert_eq!(vm.request(&good()).status(), 200, "{call} {status}");
            assert_eq!(vm.request(&get("/nowhere")).status(), 403, "{call} {status}");
            vm.tick(vm.root());
        }
    }
    // Lines of a response, which come after those of the request.
    let call = "proxy_add_header_map_value";
    vm.behave();
    let edits = edits(&mut vm, call);
    for status in STATUSES {
        vm.behave();
        vm.meddle(call, edits, usize::MAX, Meddle::Answer(status));
        assert_eq!(vm.request(&good()).status(), 200, "{status}");
    }
    assert_eq!(vm.trap(), None);
}

#[test]
fn a_reply_that_is_not_taken_resets_the_stream() {
    // row W18
    let (_, mut vm) = vm();
    for status in STATUSES {
        meddled(&mut vm, "proxy_send_local_response", Meddle::Answer(status));
        assert_eq!(vm.request(&get("/nowhere")).answer, Answer::Reset, "{status}");
        vm.meddle("proxy_close_stream", 0, usize::MAX, Meddle::Answer(status));
        assert_eq!(vm.request(&get("/nowhere")).answer, Answer::Stalled, "{status}");
    }
    vm.behave();
    assert_eq!(vm.request(&good()).status(), 200);
}

#[test]
fn trailers_that_cannot_be_stripped_stop_the_request() {
    // rows H04, W18
    let (_, mut vm) = vm();
    let request = get("/public/x").with_trailers(&[("x-portcullis-consumer", "admin")]);
    for status in STATUSES {
        meddled(&mut vm, "proxy_remove_header_map_value", Meddle::Answer(status));
        assert_eq!(details(&vm.request(&request)), "host_failure", "{status}");
        vm.behave();
        vm.meddle("proxy_get_header_map_pairs", 1, 1, Meddle::Answer(status));
        assert_eq!(details(&vm.request(&request)), "host_failure", "{status}");
    }
}

#[test]
fn malformed_header_maps_are_refused() {
    // row W18
    let (_, mut vm) = vm();
    let word = |number: u32| number.to_le_bytes();
    let one_line = [&word(1)[..], &word(1), &word(1), b"a\0b\0"].concat();
    let maps: [Vec<u8>; 9] = [
        vec![],
        vec![1, 0, 0],
        word(u32::MAX).to_vec(),
        word(1).to_vec(),
        word(0).to_vec(),
        [&word(1)[..], &word(u32::MAX), &word(1), b"a\0b\0"].concat(),
        [&word(1)[..], &word(2), &word(1), b"a\0b\0"].concat(),
        one_line[..one_line.len() - 1].to_vec(),
        [&word(2)[..], &word(1), &word(1), b"a\0b\0"].concat(),
    ];
    for map in maps {
        meddled(&mut vm, "proxy_get_header_map_pairs", Meddle::HandOver(map.clone()));
        assert_eq!(details(&vm.request(&good())), "host_failure", "{map:?}");
    }
    // Lines without what a request must have are the caller's fault.
    meddled(&mut vm, "proxy_get_header_map_pairs", Meddle::HandOver(one_line));
    assert_eq!(details(&vm.request(&good())), "request_malformed");
    assert_eq!(vm.trap(), None);
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    // rows W18, W20
    let (_, mut vm) = vm();
    for call in ["proxy_get_buffer_bytes", "proxy_log", "proxy_set_tick_period_milliseconds"] {
        for status in STATUSES {
            meddled(&mut vm, call, Meddle::Answer(status));
            let configured = vm.configure(crate::policy().to_string());
            assert_eq!(configured.accepted, call != "proxy_get_buffer_bytes", "{call} {status}");
            vm.behave();
            assert_eq!(vm.request(&good()).status(), 200);
        }
    }
    for call in ["proxy_get_shared_data", "proxy_set_shared_data", "random_get"] {
        for status in STATUSES {
            let process = portcullis_tests::fake_host::Process::at(crate::NOW);
            let mut vm = Vm::new(&process);
            meddled(&mut vm, call, Meddle::Answer(status));
            let _ = vm.configure(crate::policy().to_string());
            vm.behave();
            assert_eq!(vm.trap(), None, "{call} {status}");
        }
    }
}
