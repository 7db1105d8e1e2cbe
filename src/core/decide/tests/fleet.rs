//! Limits that somebody else counts, where nothing can be remembered and where nobody can be asked.

use super::{policy, tokens};
use crate::decide::{Answer, Pause, Question, Step};
use crate::explain::Stage;
use crate::limit::{BucketStore, MemoryStore, Troubled, Verdict};
use crate::policy::Policy;
use crate::reason::Denial;
use crate::request::Request;
use crate::time::{SECOND, Timestamp};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);
const LINES: [(&[u8], &[u8]); 3] = [(b":authority", b"h"), (b":path", b"/x"), (b":method", b"GET")];

fn fleet(on_error: &str) -> Policy {
    policy(&format!(
        "'fleet': {{'cluster': 'c', 'on_error': '{on_error}'}},
         'limits': {{'one': {{'key': ['route'], 'rate': '9/m', 'scope': 'fleet', 'lease': 4}},
                    'two': {{'key': ['route'], 'rate': '9/m', 'scope': 'fleet'}}}},
         'routes': [{{'name': 'r', 'paths': ['/x'], 'methods': ['GET'], 'access': 'public',
                     'limits': ['one', 'two']}}]"
    ))
}

/// Runs a request to its end; gives the hits of each question, and why the request is refused.
fn run(
    policy: &Policy,
    buckets: &mut impl BucketStore,
    mut answer: impl FnMut(u32) -> Answer,
) -> (Vec<u32>, Option<Denial>) {
    let request = Request { headers: &LINES, source_address: None, route_name: None };
    let mut tokens = tokens(policy);
    let mut step = policy.decide(&request, NOW, buckets, &mut tokens, &mut ());
    let mut asked = Vec::new();
    loop {
        let pause: Box<Pause> = match step {
            Step::Done(decision) => return (asked, decision.verdict().err()),
            Step::Ask(pause) => pause,
        };
        let Question::Fleet(inquiry) = pause.question() else { panic!("{pause:?}") };
        asked.push(inquiry.hits);
        assert!(asked.len() <= 3, "{asked:?}");
        let answer = answer(inquiry.hits);
        step = policy.resume(&pause, answer, &request, NOW, buckets, &mut tokens, &mut ());
    }
}

fn says(is_over: bool) -> Answer {
    Answer::Counted(Verdict { is_over, remaining: None, reset: Some(0) })
}

#[test]
fn questions_end_where_nothing_is_remembered() {
    let policy = fleet("local");
    let store = || Troubled { forgets: true, ..Troubled::default() };
    let refused = Some(Denial::RateLimited);
    // And nothing is asked for ahead.
    for _ in 0..2 {
        let mut buckets = store();
        assert_eq!(run(&policy, &mut buckets, |_| says(false)), (vec![1, 1], None));
        assert_eq!(run(&policy, &mut buckets, |_| says(true)), (vec![1], refused));
    }
    let mut buckets = MemoryStore::default();
    assert_eq!(run(&policy, &mut buckets, |_| says(false)), (vec![1, 1], None));
    assert_eq!(run(&policy, &mut buckets, |hits| says(hits > 1)), (vec![4, 1, 1], None));
    let mut buckets = MemoryStore::default();
    run(&policy, &mut buckets, |_| says(false));
    assert_eq!(run(&policy, &mut buckets, |_| says(true)), (vec![4, 1], refused));
}

#[test]
fn without_an_answer_nothing_more_is_asked() {
    for (on_error, denial) in
        [("local", None), ("allow", None), ("deny", Some(Denial::LimitUnavailable))]
    {
        let policy = fleet(on_error);
        let ran = run(&policy, &mut MemoryStore::default(), |_| Answer::Unavailable);
        assert_eq!(ran, (vec![1], denial), "{on_error}");
    }
}

#[test]
fn an_explanation_asks_nobody_and_says_so() {
    let policy = fleet("deny");
    let request = Request { headers: &LINES, source_address: None, route_name: None };
    let mut stages: Vec<(Stage, String)> = Vec::new();
    let mut buckets = MemoryStore::default();
    for _ in 0..9 {
        stages.clear();
        let decision =
            policy.decide_now(&request, NOW, &mut buckets, &mut tokens(&policy), &mut stages);
        assert_eq!(decision.verdict().err(), None);
    }
    let notes = stages.iter().filter(|(_, text)| text.contains("nobody was asked"));
    let notes: Vec<_> = notes.map(|(_, text)| &**text).collect();
    let asks = |name: &str, hits: &str| {
        format!(
            "`{name}`: nobody was asked; Envoy asks domain `portcullis` for {hits} of limit `{name}`, route `r`, and \
                 without an answer the request is refused"
        )
    };
    assert_eq!(
        notes,
        [asks("one", "1 hit (4 for who comes again within a second)"), asks("two", "1 hit")]
    );
    assert_eq!(stages.iter().filter(|(stage, _)| *stage == Stage::Route).count(), 1);
    let decision = policy.decide_now(&request, NOW, &mut buckets, &mut tokens(&policy), &mut ());
    assert_eq!(decision.verdict().err(), Some(Denial::RateLimited));
}
