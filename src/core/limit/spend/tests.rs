//! Several limits on one request, and a store that is not on its side.

use super::*;
use crate::limit::{Calendar, KeyParts, Troubled};
use crate::time::SECOND;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn limit(name: &str, burst: u64) -> Limit {
    let quota = Quota::new(1, SECOND, burst).unwrap_or_else(|| panic!("burst {burst}"));
    Limit::new("gw", name, None, quota, KeyParts::default())
}

fn go(limits: &[Limit], store: &mut Troubled) -> Spent {
    at(limits, store, 1_800_000_000 * SECOND)
}

fn at(limits: &[Limit], store: &mut Troubled, nanos: u64) -> Spent {
    let numbered = limits.iter().zip(0..).map(|(limit, at)| (LimitId(at), limit));
    let now = Timestamp::from_unix_nanos(nanos);
    let ask = Ask { subject: Subject::default(), cost: 1, now };
    spend(numbered, &ask, store, &mut Vec::new()).unwrap_or_else(|fault| panic!("{fault:?}"))
}

#[test]
fn a_refusal_spends_nothing() {
    // L17
    let limits = [limit("wide", 3), limit("narrow", 1)];
    let mut store = Troubled::default();
    assert_eq!(go(&limits, &mut store), Spent::Yes);
    for _ in 0..5 {
        assert_eq!(go(&limits, &mut store), Spent::No(LimitId(1)));
    }
    let wide = [limit("wide", 3)];
    assert_eq!(go(&wide, &mut store), Spent::Yes);
    assert_eq!(go(&wide, &mut store), Spent::Yes);
    assert_eq!(go(&wide, &mut store), Spent::No(LimitId(0)));
}

#[test]
fn a_smaller_quota_locks_nobody_out_for_longer_than_its_filling() {
    let day = 86_400 * SECOND;
    let quota = |count, period| {
        Quota::new(count, period, count).unwrap_or_else(|| panic!("{count}/{period}"))
    };
    let with = |quota| [Limit::new("gw", "l", None, quota, KeyParts::default())];
    let (slow, fast) = (with(quota(1_000, day)), with(quota(100, 60 * SECOND)));
    let mut store = Troubled::default();
    let start = 1_800_000_000 * SECOND;
    for _ in 0..1_000 {
        assert_eq!(at(&slow, &mut store, start), Spent::Yes);
    }
    assert_eq!(at(&slow, &mut store, start), Spent::No(LimitId(0)));
    assert_eq!(at(&fast, &mut store, start), Spent::No(LimitId(0)));
    for minute in [60, 120] {
        let admitted =
            (0..200).filter(|_| at(&fast, &mut store, start + minute * SECOND) == Spent::Yes);
        assert_eq!(admitted.count(), 100, "{minute}");
    }
    // The clock is set back by an hour: a minute later the bucket is full again.
    assert_eq!(at(&fast, &mut store, start - 3_600 * SECOND), Spent::No(LimitId(0)));
    let admitted = (0..200).filter(|_| at(&fast, &mut store, start - 3_540 * SECOND) == Spent::Yes);
    assert_eq!(admitted.count(), 100);
}

#[test]
fn lost_races_are_run_again_a_bounded_number_of_times() {
    // L05
    let mut store = Troubled { losses: ATTEMPTS - 1, ..Troubled::default() };
    assert_eq!(go(&[limit("l", 3)], &mut store), Spent::Yes);
    let mut store = Troubled { losses: usize::MAX, ..Troubled::default() };
    assert_eq!(go(&[limit("l", 3)], &mut store), Spent::No(LimitId(0)));
    assert_eq!((store.reads, store.gave_up), (ATTEMPTS + 1, 1));
}

fn ask(cost: u64) -> Ask<'static> {
    let now = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);
    Ask { subject: Subject::default(), cost, now }
}

/// What became of a request, and what each limit has left and whether it gave anything.
fn spend_all(
    limits: &[Limit],
    store: &mut Troubled,
    cost: u64,
) -> (Result<Spent, StoreFault>, Vec<(u64, bool)>) {
    let numbered = limits.iter().zip(0..).map(|(limit, at)| (LimitId(at), limit));
    let mut reports = Vec::new();
    let spent = spend(numbered, &ask(cost), store, &mut reports);
    (spent, reports.iter().map(|report| (report.state.remaining(), report.taken)).collect())
}

#[test]
fn a_cost_is_taken_from_all_or_from_none() {
    let limits = [limit("wide", 20), limit("narrow", 7)];
    let mut store = Troubled::default();
    let mut go = |cost| spend_all(&limits, &mut store, cost);
    assert_eq!(go(5), (Ok(Spent::Yes), vec![(15, true), (2, true)]));
    // What is there is told as it is, not as it would have been.
    assert_eq!(go(5), (Ok(Spent::No(LimitId(1))), vec![(15, false), (2, false)]));
    assert_eq!(go(2), (Ok(Spent::Yes), vec![(13, true), (0, true)]));
}

#[test]
fn a_limit_that_looks_on_holds_nobody_up() {
    let quiet = Limit { observe: true, ..limit("quiet", 1) };
    let limits = [quiet, limit("narrow", 3)];
    let mut store = Troubled::default();
    assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::Yes), vec![(0, true), (2, true)]));
    assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::Yes), vec![(0, false), (1, true)]));
    // Nor does one whose bucket is out of reach, or that lost every race.
    store.broken = Some("quiet");
    assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::Yes), vec![(0, true)]));
    assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::No(LimitId(1))), vec![(0, false)]));
    store.broken = Some("narrow");
    assert_eq!(spend_all(&limits, &mut store, 1).0, Err(StoreFault));
    let mut store = Troubled { losses: ATTEMPTS, ..Troubled::default() };
    assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::Yes), vec![(0, false), (2, true)]));
    assert_eq!(store.gave_up, 1);
}

#[test]
fn windows_of_one_limit_have_buckets_of_their_own() {
    let window = |text, quota: Option<Quota>| {
        let quota = quota.unwrap_or_else(|| panic!("{text}"));
        Limit::new("gw", "l", Some(text), quota, KeyParts::default())
    };
    let limits = [
        window("3/s", Quota::new(3, SECOND, 3)),
        window("9/h", Quota::new(9, 3_600 * SECOND, 9)),
        window("9/hour", Quota::of_window(9, Calendar::Hour)),
        window("9/month", Quota::of_window(9, Calendar::Month(1))),
    ];
    let mut store = Troubled::default();
    let left = |left: u64| vec![(left, true), (left + 6, true), (left + 6, true), (left + 6, true)];
    for remaining in (0..3).rev() {
        assert_eq!(spend_all(&limits, &mut store, 1), (Ok(Spent::Yes), left(remaining)));
    }
    assert_eq!(spend_all(&limits, &mut store, 1).0, Ok(Spent::No(LimitId(0))));
}

#[test]
fn what_is_in_flight_is_entered_last_and_left_if_it_comes_to_nothing() {
    let flights = |name, most| {
        let limit = Limit::of_flights("gw", name, most, KeyParts::default());
        limit.unwrap_or_else(|| panic!("{name}"))
    };
    let limits = [flights("wide", 3), limit("rate", 2), flights("narrow", 1)];
    let mut store = Troubled::default();
    assert_eq!(go(&limits, &mut store), Spent::Yes);
    // As the walk does it that refuses.
    let mut refused = |limits: &[Limit], why: u16| {
        let numbered = limits.iter().zip(0..).map(|(limit, at)| (LimitId(at), limit));
        let now = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);
        let ask = Ask { subject: Subject::default(), cost: 1, now };
        let mut reports = Vec::new();
        let spent = spend(numbered, &ask, &mut store, &mut reports);
        assert_eq!(spent, Ok(Spent::No(LimitId(why))));
        leave(&mut reports, &mut store);
        let seen = reports.iter().map(|report| (report.limit.name(), report.in_flight()));
        seen.map(|(name, count)| format!("{name} {count:?}")).collect::<Vec<_>>().join(", ")
    };
    for _ in 0..5 {
        assert_eq!(refused(&limits, 2), "rate None, wide Some(1), narrow Some(1)");
    }
    // A token and two places are left; then an empty bucket is all that is looked at.
    let wide = [flights("wide", 3), limit("rate", 2)];
    assert_eq!(go(&wide, &mut store), Spent::Yes);
    assert_eq!(go(&wide, &mut store), Spent::No(LimitId(1)));
    assert_eq!(go(&wide[..1], &mut store), Spent::Yes);
    assert_eq!(go(&wide[..1], &mut store), Spent::No(LimitId(0)));
}
