//! The records in shared data: races, junk, workers that die, and a process that has no `vm_id`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use portcullis_core::Algorithm;
use portcullis_mint::TestKey;
use portcullis_tests::fake_host::{Meddle, Process, Vm};

use super::{
    GOOD, NOW, SECOND, Served, UNAVAILABLE, World, bearer, key, policy, remote, set, verdict,
    with_token,
};

/// The records of key sets.
fn records(process: &Process, kind: u8) -> Vec<Vec<u8>> {
    let keys = process.keys().into_iter();
    keys.filter(|key| key.starts_with(b"pk1/") && key[4] == kind).collect()
}

fn served() -> World {
    World::new(2, &policy(&remote()), |call| match call.cluster.as_str() {
        "idp" => Served::json(set(&["k1"])),
        _ => Served::Broken,
    })
}

#[test]
fn records_are_made_once_and_no_more_of_them() {
    // row W08
    let mut world = served();
    assert_eq!(records(&world.process, b's').len(), 2);
    world.run(70 * SECOND);
    assert_eq!((records(&world.process, b's').len(), records(&world.process, b'd').len()), (2, 1));
    let held = records(&world.process, b's').map_values(&world.process);
    world.add_worker();
    assert_eq!(records(&world.process, b's').map_values(&world.process), held);
}

trait MapValues {
    fn map_values(&self, process: &Process) -> Vec<Option<(Vec<u8>, u32)>>;
}

impl MapValues for Vec<Vec<u8>> {
    fn map_values(&self, process: &Process) -> Vec<Option<(Vec<u8>, u32)>> {
        self.iter().map(|key| process.shared(key)).collect()
    }
}

#[test]
fn a_worker_that_comes_between_look_and_swap_begins_the_only_fetch() {
    // rows W08, S10
    let process = Process::at(NOW);
    let configure = || {
        let mut vm = Vm::new(&process);
        let configured = vm.configure(policy(&remote()).to_string());
        assert!(configured.accepted, "{configured:?}");
        (vm, configured.root)
    };
    let (mut one, root) = configure();
    let (two, other) = configure();
    let two = Rc::new(RefCell::new(two));
    let twin = Rc::clone(&two);
    // The other worker's timer runs each time that this one is about to swap.
    let run = move || twin.borrow_mut().tick(other);
    one.meddle("proxy_set_shared_data", 0, usize::MAX, Meddle::RunFirst(Box::new(run)));
    process.advance(SECOND);
    one.tick(root);
    let clusters = |vm: &mut Vm| vm.sent().into_iter().map(|call| call.cluster).collect::<Vec<_>>();
    assert_eq!(clusters(&mut one), [""; 0]);
    assert_eq!(clusters(&mut two.borrow_mut()), ["idp", "other"]);
}

#[test]
fn a_fetch_whose_worker_dies_is_made_by_another() {
    let mut world = World::new(3, &policy(&remote()), |_| Served::Silence);
    world.run(SECOND / 10);
    let (_, holder, _) = world.calls[0].clone();
    assert_eq!(world.calls_to("idp").len(), 1);
    world.kill(holder);
    world.serve(|_| Served::json(set(&["k1"])));
    // The cool-down has passed before anybody waits too long.
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!(waited <= 6 * SECOND, "{waited}");
    assert_eq!(verdict(&world.request(1, &with_token("k1")).0), GOOD);
    assert_eq!(world.calls_to("idp").len(), 2);
}

#[test]
fn an_answer_that_comes_after_the_next_fetch_began_changes_nothing() {
    let process = Process::at(NOW);
    let mut vms: Vec<_> = (0..2).map(|_| Vm::new(&process)).collect();
    let roots: Vec<_> =
        vms.iter_mut().map(|vm| vm.configure(policy(&remote()).to_string()).root).collect();
    process.advance(SECOND);
    vms[0].tick(roots[0]);
    let late = vms[0].sent().remove(0);
    process.advance(6 * SECOND);
    vms[1].tick(roots[1]);
    let call = vms[1].sent().remove(0);
    assert_eq!((late.cluster.as_str(), call.cluster.as_str()), ("idp", "idp"));
    let held = records(&process, b's').map_values(&process);
    vms[0].answer(&late, &[(":status", "200")], set(&["k1"]));
    assert_eq!(records(&process, b's').map_values(&process), held);
    assert_eq!(records(&process, b'd'), [[0; 0]; 0]);
    vms[1].answer(&call, &[(":status", "200")], set(&["k1"]));
    for (vm, root) in vms.iter_mut().zip(roots) {
        vm.tick(root);
        assert_eq!(verdict(&vm.request(&with_token("k1"))), GOOD);
    }
}

#[test]
fn a_fetch_by_a_root_context_that_goes_is_made_by_another() {
    let mut world = World::new(1, &policy(&remote()), |_| Served::Silence);
    world.run(SECOND / 10);
    let worker = &mut world.workers[0];
    let new = worker.vm.configure(policy(&remote()).to_string()).root;
    worker.vm.close(worker.root);
    worker.root = new;
    world.serve(|_| Served::json(set(&["k1"])));
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!(waited <= 6 * SECOND, "{waited}");
}

#[test]
fn junk_in_the_records_is_no_key_set_and_no_trap() {
    // row W10
    let far = (NOW + 1_000 * 86_400 * SECOND).to_le_bytes();
    let mut record = vec![0; 64];
    record[..8].copy_from_slice(&far);
    let mut begun = vec![0; 64];
    begun[8..16].copy_from_slice(&far);
    let mut result = vec![0; 64];
    result[56] = 200;
    let junk: Vec<Vec<u8>> = vec![
        vec![],
        vec![1],
        vec![0; 63],
        vec![0xff; 64],
        vec![0xff; 65],
        vec![0xff; 1 << 20],
        record,
        begun,
        result,
        set(&["evil"]).into_bytes(),
    ];
    for value in junk {
        let mut world = served();
        world.run(SECOND);
        for key in [records(&world.process, b's'), records(&world.process, b'd')].concat() {
            world.process.set_shared(&key, &value, 0);
        }
        // The set that is in force stays, and no set is fetched before the cool-down is over.
        assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD);
        let late = world.add_worker();
        world.run(8 * SECOND);
        for worker in 0..=late {
            assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD, "{value:?}");
            assert_eq!(world.workers[worker].vm.trap(), None);
        }
        let calls: Vec<_> = world.calls.iter().filter(|(.., call)| call.cluster == "idp").collect();
        assert!(calls.len() <= 3, "{}", calls.len());
    }
}

#[test]
fn a_set_that_the_record_does_not_name_is_not_read() {
    let mut world = served();
    world.run(SECOND);
    let [data] = &records(&world.process, b'd')[..] else { panic!("one set") };
    let (bytes, _) = world.process.shared(data).expect("the set");
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    // Another key under the same id, lengths that lead out of the record, and another digest.
    let [ours, other] =
        ["k1", "k2"].map(|id| key(id).public_jwk().expect("a key")["x"].to_string());
    let text = String::from_utf8_lossy(&bytes[16..]).replace(&ours, &other);
    let swapped = [&bytes[..16], text.as_bytes()].concat();
    assert_ne!(swapped, bytes);
    for junk in [swapped, flipped(17), flipped(19), flipped(0)] {
        world.process.set_shared(data, &junk, 0);
        world.serve(|_| Served::Broken);
        let late = world.add_worker();
        let worker = &mut world.workers[late];
        let stream = worker.vm.open(worker.root);
        worker.vm.run(stream, &with_token("k1"));
        assert!(worker.vm.is_stopped(stream), "the damaged set is in use");
        worker.vm.close(stream);
    }
}

#[test]
fn calls_that_fail_are_no_trap_and_end_some_time() {
    // row W18
    for call in [
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_http_call",
        "proxy_get_header_map_pairs",
        "proxy_get_buffer_bytes",
        "proxy_get_current_time_nanoseconds",
        "proxy_set_tick_period_milliseconds",
        "proxy_define_metric",
    ] {
        for status in [1, 2, 8, 10, u32::MAX] {
            let mut world = served();
            for worker in &mut world.workers {
                worker.vm.meddle(call, 0, usize::MAX, Meddle::Answer(status));
            }
            world.run(8 * SECOND);
            for worker in &mut world.workers {
                worker.vm.behave();
            }
            world.run(8 * SECOND);
            for worker in 0..2 {
                let outcome = world.request(worker, &with_token("k1")).0;
                assert_eq!(verdict(&outcome), GOOD, "{call} {status}");
            }
        }
    }
}

#[test]
fn a_set_that_another_policy_can_use_and_this_one_cannot() {
    let mut world = served();
    world.run(10 * SECOND);
    let mut other = policy(&remote());
    other["gateway"] = "other".into();
    other["issuers"][0]["algorithms"] = serde_json::json!(["ES256"]);
    let worker = &mut world.workers[1];
    worker.root = worker.vm.configure(other.to_string()).root;
    let signer = TestKey::generate(Algorithm::Es256, Some("e1"), b"e1");
    let claims = serde_json::json!({"iss": "https://id.example.com/corp", "aud": "orders",
        "sub": "alice", "exp": NOW / SECOND + 60});
    let (outcome, waited) = world.request(1, &bearer(&signer.token(&claims)));
    assert_eq!(verdict(&outcome), UNAVAILABLE);
    assert!(waited < SECOND, "{waited}");
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD);
}

#[test]
fn without_an_id_every_worker_fetches_for_itself() {
    let process = Process::at(NOW);
    process.set_vm_id("");
    let mut world = World::of(process, 3, &policy(&remote()), |_| Served::json(set(&["k1"])));
    assert!(world.configured.iter().any(|line| line.contains("`vm_id`")), "{:?}", world.configured);
    world.run(SECOND);
    assert_eq!(world.calls_to("idp").len(), 3);
    assert_eq!(records(&world.process, b's'), [[0; 0]; 0]);
    for worker in 0..3 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
    // A new policy of the same VM takes what the old one has fetched.
    let worker = &mut world.workers[0];
    worker.root = worker.vm.configure(policy(&remote()).to_string()).root;
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!((verdict(&outcome), waited), (GOOD, 0));
    world.run(5 * SECOND);
    assert_eq!(world.calls_to("idp").len(), 3);
}

#[test]
fn a_policy_may_share_without_an_id() {
    let process = Process::at(NOW);
    process.set_vm_id("");
    let mut shares = policy(&remote());
    shares["share_keys"] = true.into();
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    let mut world = World::of(process, 3, &shares, move |call| {
        counted.set(counted.get() + usize::from(call.cluster == "idp"));
        Served::json(set(&["k1"]))
    });
    world.run(SECOND);
    assert_eq!(count.get(), 1);
    assert_eq!(verdict(&world.request(2, &with_token("k1")).0), GOOD);
}
