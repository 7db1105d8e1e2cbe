//! Counts of requests: gathered in the VM, handed over by the timer.

use crate::{decisions, get, good, policy, vm};

const COUNT: &str = "proxy_increment_metric";

#[test]
fn requests_are_counted_by_the_timer() {
    let (process, mut vm) = vm();
    let root = vm.root();
    vm.tick(root);
    assert_eq!(vm.tick_period(root), Some(60_000), "nothing is counted");
    for number in 1..=5 {
        let calls = vm.request(&get("/public/x")).calls;
        assert!(!calls.contains(&COUNT), "{calls:?}");
        let sets = calls.iter().filter(|call| **call == "proxy_set_tick_period_milliseconds");
        assert_eq!(sets.count(), usize::from(number == 1), "the timer is asked for once");
    }
    assert_eq!((vm.tick_period(root), decisions(&process)), (Some(1_000), 0));
    vm.tick(root);
    assert_eq!((vm.tick_period(root), decisions(&process)), (Some(60_000), 5));
    vm.tick(root);
    assert_eq!(decisions(&process), 5);
}

#[test]
fn a_policy_that_ends_leaves_no_count_behind() {
    let (process, mut vm) = vm();
    let old = vm.root();
    vm.request(&good());
    assert!(vm.reconfigure(old, policy().to_string()).accepted);
    assert_eq!(decisions(&process), 1, "replaced");
    vm.request(&good());
    let stream = vm.open(old);
    vm.close(old);
    assert_eq!(decisions(&process), 2, "ended");
    // The last request has no timer any more.
    vm.run(stream, &good());
    vm.close(stream);
    assert_eq!(decisions(&process), 3);
}

#[test]
fn any_timer_of_the_vm_hands_over() {
    let (process, mut vm) = vm();
    let first = vm.root();
    let second = vm.configure(policy().to_string()).root;
    vm.request_on(first, &good());
    vm.tick(second);
    assert_eq!(decisions(&process), 1);
}

#[test]
fn many_counts_do_not_wait() {
    let (process, mut vm) = vm();
    for _ in 0..5_000 {
        vm.request(&get("/public/x"));
    }
    let early = decisions(&process);
    assert!((4_000..5_000).contains(&early), "{early}");
    vm.tick(vm.root());
    assert_eq!(decisions(&process), 5_000);
}
