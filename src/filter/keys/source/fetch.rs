//! This worker's part in fetching a set: one or two calls under one lease.

use portcullis_core::{KeySet, Lines, MAX_SET, Remote, SetFault, Timestamp};

use super::super::answer::{self, Head};
use super::super::data::Data;
use super::super::state::{DataId, FetchResult, State};
use super::super::{Turn, log};
use super::{Held, MILLI, Source, share};
use crate::abi::Level;
use crate::abi::callout;
use crate::host;

/// How long after the time for an answer a fetch is given up by others, in nanoseconds.
const MARGIN: u64 = 1_000_000_000;
/// Unusable keys that a new set puts into the log.
const LOGGED_KEYS: usize = 8;

/// A fetch of this worker's.
pub(super) struct Flight {
    token: u32,
    begun: Timestamp,
    pub(super) lease: Timestamp,
    deadline: Timestamp,
    asked: Asked,
}

/// What a fetch is waiting for.
enum Asked {
    Discovery,
    /// The set at this path; empty: the one in the policy. And the set that it was asked to differ
    /// from.
    Set {
        path: Box<str>,
        unless: Option<DataId>,
    },
}

/// How a fetch ends.
struct End<'e> {
    result: FetchResult,
    set: Option<(Data<'e>, KeySet)>,
    fresh_for: Option<u64>,
}

impl Source {
    /// Takes the lease and sends the first call. Who loses the swap leaves it to the other one.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>) {
        let deadline = turn.now.saturating_add(self.remote.timeout);
        let lease = deadline.saturating_add(MARGIN);
        let next = State { lease, begun: turn.now, ..self.state };
        match turn.records.write(&self.state_key, &next.encode(), self.version) {
            Ok(true) => {}
            // Somebody else begins one.
            Ok(false) => return,
            Err(fault) => return turn.fault(fault),
        }
        (self.state, self.begun) = (next, turn.now);
        let remembered = match &self.held {
            // A path that failed may be an old one.
            Some(held) if self.state.result.is_good() && !held.path.is_empty() => {
                Some(held.path.clone())
            }
            _ => None,
        };
        let asked = match (&self.remote.path, remembered) {
            (Some(_), _) => self.ask_for_set(Box::default()),
            (None, Some(path)) => self.ask_for_set(path),
            (None, None) => Asked::Discovery,
        };
        let flight = Flight { token: 0, begun: turn.now, lease, deadline, asked };
        self.send(turn, flight);
    }

    /// The set at a path, unless it is the one that is there.
    fn ask_for_set(&self, path: Box<str>) -> Asked {
        let is_same =
            |held: &&Held| held.id == self.state.data && held.path == path && !held.etag.is_empty();
        let same = self.held.as_ref().filter(is_same);
        Asked::Set { unless: same.map(|held| held.id), path }
    }

    /// Sends the call that a fetch is at.
    fn send(&mut self, turn: &mut Turn<'_>, mut flight: Flight) {
        let Some(issuer) = turn.policy.issuers().get(self.issuer) else { return };
        let (path, etag) = match &flight.asked {
            Asked::Discovery => (answer::discovery_path(issuer.url()), None),
            Asked::Set { path, unless } => {
                let held = self.held.as_ref().filter(|held| Some(held.id) == *unless);
                let configured = self.remote.path.as_deref().unwrap_or_default();
                let path = if path.is_empty() { configured } else { path };
                (path.to_owned(), held.map(|held| String::from(&*held.etag)))
            }
        };
        let mut lines = Lines::default();
        for (name, value) in [
            (":method", "GET"),
            (":path", &path),
            (":authority", &self.remote.authority),
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("user-agent", "portcullis"),
        ] {
            lines.add(name, value);
        }
        if let Some(etag) = etag {
            lines.add("if-none-match", &etag);
        }
        let millis = (flight.deadline.since(turn.now) / MILLI).max(1);
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        match callout::http_call(&self.remote.cluster, &host::serialize(&lines), millis) {
            Ok(token) => {
                flight.token = token;
                self.flight = Some(flight);
            }
            // The host knows no such cluster, most likely.
            Err(_) => self.end(turn, &flight, End::failed(FetchResult::Unreachable)),
        }
    }

    /// Whether an answer is this source's.
    pub(in super::super) fn is_awaiting(&self, token: u32) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.token == token)
    }

    /// An answer came: its number of header lines, none for a failure, and the length of its body.
    pub(in super::super) fn answered(&mut self, turn: &mut Turn<'_>, lines: u32, size: usize) {
        let Some(flight) = self.flight.take() else { return };
        let limit = match &flight.asked {
            Asked::Discovery => answer::MAX_DOCUMENT,
            Asked::Set { .. } => MAX_SET,
        };
        let (head, body) = match receive(turn, lines, size, limit) {
            Ok(received) => received,
            Err(result) => return self.end(turn, &flight, End::failed(result)),
        };
        match &flight.asked {
            Asked::Discovery => self.discovered(turn, flight, &head, body),
            Asked::Set { path, unless } => {
                let end = self.judge(turn, &head, body, path, unless.as_ref());
                self.end(turn, &flight, end);
            }
        }
    }

    /// The second half of a fetch by discovery: the same lease, and what is left of the time.
    fn discovered(
        &mut self,
        turn: &mut Turn<'_>,
        mut flight: Flight,
        head: &Head,
        document: &[u8],
    ) {
        let Some(issuer) = turn.policy.issuers().get(self.issuer) else { return };
        let found = match head.status {
            200 => answer::set_path(document, issuer.url(), &self.remote.authority),
            _ => Err(FetchResult::Status),
        };
        match found {
            Ok(path) => {
                flight.asked = self.ask_for_set(path.into());
                self.send(turn, flight);
            }
            Err(result) => self.end(turn, &flight, End::failed(result)),
        }
    }

    /// What an answer for the set is worth.
    fn judge<'e>(
        &self,
        turn: &Turn<'_>,
        head: &'e Head,
        body: &'e [u8],
        path: &'e str,
        unless: Option<&DataId>,
    ) -> End<'e> {
        let failed = |result| End { fresh_for: head.fresh_for, ..End::failed(result) };
        let is_held = || self.held.as_ref().is_some_and(|held| Some(&held.id) == unless);
        match head.status {
            200 => {}
            304 if is_held() => return failed(FetchResult::Unchanged),
            _ => return failed(FetchResult::Status),
        }
        let Some(issuer) = turn.policy.issuers().get(self.issuer) else {
            return failed(FetchResult::NotASet);
        };
        match KeySet::read(body, issuer.algorithms()) {
            Ok(set) => {
                let etag = head.etag.as_deref().unwrap_or_default();
                let set = Some((Data { path, etag, body }, set));
                End { result: FetchResult::Updated, set, fresh_for: head.fresh_for }
            }
            Err(SetFault::NoUsableKey(_)) => failed(FetchResult::NoUsableKey),
            Err(SetFault::TooLong) => failed(FetchResult::TooLong),
            Err(SetFault::NotASet | SetFault::TooManyKeys) => failed(FetchResult::NotASet),
        }
    }

    /// A fetch is over: says so to all workers, and takes what it brought.
    fn end(&mut self, turn: &mut Turn<'_>, flight: &Flight, end: End<'_>) {
        turn.count(self.issuer, end.result);
        let (mut state, version) = match self.read(turn) {
            Ok(read) => read,
            Err(fault) => return turn.fault(fault),
        };
        if state.begun != flight.begun || version == 0 {
            // It took so long that somebody else has begun another one.
            return;
        }
        let before = state.result;
        state.lease = Timestamp::default();
        state.completed = flight.begun;
        state.result = end.result;
        if end.result.is_good() {
            state.fetched = flight.begun;
            state.next = self.next_fetch(flight.begun, end.fresh_for);
        }
        if let Some((data, _)) = &end.set {
            let (id, bytes) = data.encode();
            state.data = id;
            // Before the record that names it: who reads that finds this.
            if let Err(fault) = turn.records.write(&self.data_key, &bytes, 0) {
                return turn.fault(fault);
            }
        }
        match turn.records.write(&self.state_key, &state.encode(), version) {
            Ok(true) => {}
            Ok(false) => return,
            Err(fault) => return turn.fault(fault),
        }
        self.tell(turn, before, &end);
        // The version that the write has made is not told; the next look finds it.
        (self.state, self.version) = (state, 0);
        match end.set {
            Some((data, set)) => self.hold(turn, data, set),
            None => self.prolong(turn),
        }
    }

    /// When a set that is this fresh is fetched anew: a tenth early and a little more, so that other
    /// workers have it, and have forgotten what is gone, before the interval is over.
    fn next_fetch(&self, begun: Timestamp, fresh_for: Option<u64>) -> Timestamp {
        let Remote { refresh, cooldown, .. } = self.remote;
        let interval = fresh_for.map_or(refresh, |fresh| refresh.min(fresh)).max(cooldown);
        // Processes that were started together do not stay together.
        let spread = begun.unix_nanos().checked_rem(interval / 20).unwrap_or(0);
        begun.saturating_add(share(interval, 9, 10).saturating_sub(spread).max(cooldown))
    }

    /// Tells the log what changed. Fetches that go on failing in the same way are one line.
    fn tell(&self, turn: &Turn<'_>, before: FetchResult, end: &End<'_>) {
        let Some(issuer) = turn.policy.issuers().get(self.issuer) else { return };
        let name = issuer.name();
        if !end.result.is_good() {
            if before == end.result {
                return;
            }
            let meanwhile = match &self.held {
                Some(held) if turn.now < held.until => {
                    format!("the set that is there stays in use until {}", held.until)
                }
                _ => "its tokens are answered with 503".to_owned(),
            };
            let cluster = &self.remote.cluster;
            let meaning = end.result.meaning();
            log(
                Level::Warn,
                &format!(
                    "issuer `{name}`: no key set from cluster `{cluster}`: {meaning}; {meanwhile}"
                ),
            );
            return;
        }
        let Some((_, set)) = &end.set else { return };
        if self.held.as_ref().is_some_and(|held| held.set.version() == set.version()) {
            return;
        }
        log(
            Level::Info,
            &format!("issuer `{name}`: a new key set, {} keys in use", set.keys().len()),
        );
        for finding in set.findings().iter().take(LOGGED_KEYS) {
            let id: String = finding.id.iter().flat_map(|id| id.escape_default()).collect();
            let (position, meaning) = (finding.position, finding.fault.meaning());
            log(
                Level::Warn,
                &format!("issuer `{name}`: key {position} (`{id}`) is not used: {meaning}"),
            );
        }
    }
}

impl End<'_> {
    const fn failed(result: FetchResult) -> Self {
        Self { result, set: None, fresh_for: None }
    }
}

/// Reads an answer. What is too long stays with the host.
fn receive<'m>(
    turn: &Turn<'m>,
    lines: u32,
    size: usize,
    limit: usize,
) -> Result<(Head, &'m [u8]), FetchResult> {
    if lines == 0 {
        return Err(FetchResult::Unreachable);
    }
    let head = host::call_response_headers(turn.inbox).map(|lines| Head::read(&lines));
    let head = head.map_err(|_| FetchResult::Unreachable)?;
    if head.status != 200 {
        return Ok((head, &[]));
    }
    if head.is_encoded {
        return Err(FetchResult::Encoding);
    }
    if size > limit {
        return Err(FetchResult::TooLong);
    }
    let body = callout::response_body(turn.inbox, size);
    Ok((head, body.map_err(|_| FetchResult::Unreachable)?))
}
