//! Buckets in shared data: several workers, races, junk, a crowded table.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_tests::fake_host::{Meddle, Process, Vm};

use crate::{NOW, SECOND, details, get, vm, vm_of};

const SETS: usize = 16_384 + 8_192 + 64;

fn buckets(process: &Process) -> Vec<Vec<u8>> {
    let keys = process.keys().into_iter();
    keys.filter(|key| key.len() == 7 && key.starts_with(b"pc2/")).collect()
}

fn event(process: &Process, event: &str) -> u64 {
    let labels = format!("gateway=.=external;.;event=.={event};.;limit=.=per-address;.;");
    process.metric(&format!("portcullis.limit_store.{labels}"))
}

fn allowed(vm: &mut Vm, from: &str, times: usize) -> usize {
    let request = get("/limited/x").from(from);
    (0..times).filter(|_| vm.request(&request).status() == 200).count()
}

#[test]
fn workers_share_one_bucket() {
    // row L01, L02
    let (process, mut one) = vm();
    let mut two = vm_of(&process);
    assert_eq!(buckets(&process).len(), SETS);
    assert_eq!(allowed(&mut one, "198.51.100.7:1", 2), 2);
    assert_eq!(allowed(&mut two, "198.51.100.7:2", 2), 1);
    assert_eq!(allowed(&mut one, "198.51.100.7:3", 1), 0);
    assert_eq!(allowed(&mut two, "198.51.100.8:1", 4), 3);
    process.advance(SECOND - 1);
    assert_eq!(allowed(&mut one, "198.51.100.7:1", 1), 0);
    process.advance(1);
    assert_eq!(allowed(&mut one, "198.51.100.7:1", 2), 1);
}

#[test]
fn a_reload_keeps_every_bucket() {
    let (process, mut vm) = vm();
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 4), 3);
    assert!(vm.configure(crate::policy().to_string()).accepted);
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 1), 0);
    // A worker whose VM died starts again with what the process knows.
    assert_eq!(allowed(&mut vm_of(&process), "198.51.100.7:1", 1), 0);
}

#[test]
fn a_request_between_look_and_swap_is_counted() {
    // rows W08, L04
    let (process, mut one) = vm();
    let two = Rc::new(RefCell::new(vm_of(&process)));
    let passed = Rc::new(RefCell::new(0));
    let (other, count) = (Rc::clone(&two), Rc::clone(&passed));
    let run = move || *count.borrow_mut() += allowed(&mut other.borrow_mut(), "198.51.100.7:2", 1);
    // The other worker runs a whole request each time this one is about to swap.
    one.meddle("proxy_set_shared_data", 0, usize::MAX, Meddle::RunFirst(Box::new(run)));
    let mine = allowed(&mut one, "198.51.100.7:1", 5);
    assert_eq!(mine + *passed.borrow(), 3);
}

#[test]
fn a_swap_that_never_succeeds_is_refused() {
    // row L05
    let (process, mut vm) = vm();
    vm.meddle("proxy_set_shared_data", 0, usize::MAX, Meddle::Answer(8));
    let outcome = vm.request(&get("/limited/x"));
    assert_eq!((outcome.status(), details(&outcome)), (429, "rate_limited"));
    let swaps = outcome.calls.iter().filter(|call| **call == "proxy_set_shared_data").count();
    assert!((2..=32).contains(&swaps), "{swaps}");
    assert_eq!(event(&process, "contended"), 1);
}

#[test]
fn junk_is_emptied_and_counted() {
    // rows W10, L08
    let (process, mut vm) = vm();
    let far = (NOW + 401 * 86_400 * SECOND).to_le_bytes();
    let impossible = [[1; 8], far, [2; 8], far, [3; 8], far, [4; 8], [0xff; 8]].concat();
    let junk: [Vec<u8>; 7] = [
        vec![],
        vec![1],
        vec![1, 2, 3],
        vec![0xff; 64],
        vec![0xff; 63],
        vec![0xff; 1 << 20],
        impossible,
    ];
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 4), 3);
    let unused = [0; 64];
    let used = |key: &Vec<u8>| process.shared(key).is_some_and(|(value, _)| value != unused);
    let keys: Vec<_> = buckets(&process).into_iter().filter(used).collect();
    for (number, value) in junk.iter().enumerate() {
        for key in &keys {
            process.set_shared(key, value, 0);
        }
        assert_eq!(allowed(&mut vm, "198.51.100.7:1", 4), 3, "{number}");
        assert_eq!(event(&process, "reset"), 1 + number as u64);
    }
    assert_eq!(keys.len(), 1);
    assert_eq!(vm.trap(), None);
}

#[test]
fn a_lost_secret_is_made_anew() {
    // row W10
    let (process, mut vm) = vm();
    for value in [&b""[..], b"abc", &[0; 17]] {
        process.set_shared(b"pc2/secret", value, 0);
        let mut other = vm_of(&process);
        assert_eq!(allowed(&mut other, "198.51.100.7:1", 4), 3);
        assert_eq!(process.shared(b"pc2/secret").map(|(value, _)| value.len()), Some(16));
    }
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 4), 3);
}

/// Takes every free place of a table for an hour.
fn crowd(process: &Process, table: u8) {
    let in_use = (NOW + 3_600 * SECOND).to_le_bytes();
    for key in buckets(process).into_iter().filter(|key| key[4] == table) {
        let (held, _) = process.shared(&key).expect("a set");
        let entries = held.chunks(16).zip(0_u8..).flat_map(|(entry, number)| {
            let live = entry[8..] > NOW.to_le_bytes()[..] || entry[8..] != [0; 8];
            if live { entry.to_vec() } else { [&[number; 8], &in_use[..]].concat() }
        });
        process.set_shared(&key, &entries.collect::<Vec<_>>(), 0);
    }
}

#[test]
fn a_flood_of_addresses_takes_no_consumers_bucket() {
    // rows W09, L23
    let (process, mut vm) = vm();
    let overflow =
        "portcullis.limit_store.gateway=.=external;.;event=.=overflow;.;limit=.=per-consumer;.;";
    crowd(&process, b'b');
    assert_eq!(vm.request(&crate::good()).status(), 200);
    assert_eq!(process.metric(overflow), 0);
    // Its own table is the one that counts.
    let (process, mut vm) = crate::vm();
    crowd(&process, b'c');
    assert_eq!(vm.request(&crate::good()).status(), 200);
    assert_eq!(process.metric(overflow), 1);
}

#[test]
fn a_crowded_table_gives_nobody_a_fresh_bucket() {
    // row W09
    let (process, mut vm) = vm();
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 4), 3);
    crowd(&process, b'b');
    // Whoever has a bucket keeps it; all newcomers share one.
    assert_eq!(allowed(&mut vm, "198.51.100.7:1", 1), 0);
    let newcomers: usize =
        (1..=9).map(|number| allowed(&mut vm, &format!("192.0.2.{number}:1"), 1)).sum();
    assert_eq!(newcomers, 3);
    assert!(event(&process, "overflow") >= 9);
    process.advance(3_601 * SECOND);
    assert_eq!(allowed(&mut vm, "192.0.2.1:1", 4), 3);
}

#[test]
fn a_newcomer_gets_what_two_buckets_hold_and_no_more() {
    // row W09
    let (process, mut vm) = vm();
    let before = buckets(&process).into_iter().map(|key| (process.shared(&key), key));
    let before: Vec<_> = before.filter_map(|(held, key)| Some((held?.0, key))).collect();
    let table = |free: bool| {
        if free {
            for (value, key) in before.iter().filter(|(_, key)| key[4] == b'b') {
                process.set_shared(key, value, 0);
            }
        } else {
            crowd(&process, b'b');
        }
    };
    // Crowded when it comes, then not: the bucket that newcomers share, and one of its own.
    table(false);
    assert_eq!(allowed(&mut vm, "192.0.2.1:1", 4), 3);
    table(true);
    assert_eq!(allowed(&mut vm, "192.0.2.1:1", 4), 3);
    // However often that changes: its own place is kept.
    for _ in 0..3 {
        crowd(&process, b'b');
        assert_eq!(allowed(&mut vm, "192.0.2.1:1", 2), 0);
    }
    // And the shared bucket is one for all.
    assert_eq!(allowed(&mut vm, "192.0.2.2:1", 2), 0);
}
