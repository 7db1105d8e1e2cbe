//! A bounded load of one kind of request on a local gateway, for `scripts/measure` and `scripts/bench`.
//!
//! Each connection has its thread and sends its share of the requests one after the other, over
//! HTTP/1.1 or, with `--http 2`, over HTTP/2 without TLS. Printed is one JSON line: answers by status,
//! seconds, and latency percentiles in microseconds.
//!
//! In the path and in header values `{address}` becomes another IPv4 address with every request, and
//! `{line}` the next line of the file given by `--lines`.

mod http1;
mod http2;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What to send, and how much of it.
struct Plan {
    port: u16,
    path: String,
    headers: Vec<String>,
    lines: Vec<String>,
    count: u32,
    first: u32,
    connections: u32,
    http2: bool,
    next: AtomicU32,
}

/// One request: a GET.
struct Request {
    path: String,
    /// Each `name: value`, names in lower case.
    lines: Vec<String>,
}

const HOST: &str = "api.example.com";

/// What came back over one connection.
#[derive(Default)]
struct Answers {
    by_status: BTreeMap<u16, u32>,
    broken: u32,
    latencies: Vec<u32>,
}

fn main() -> Result<(), String> {
    let plan = Arc::new(plan(std::env::args().skip(1))?);
    let start = Instant::now();
    let threads: Vec<_> = (0..plan.connections)
        .map(|_| {
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || run(&plan))
        })
        .collect();
    let mut total = Answers::default();
    for thread in threads {
        let one = thread.join().map_err(|_| "a connection's thread died".to_owned())?;
        for (status, count) in one.by_status {
            let sum = total.by_status.entry(status).or_default();
            *sum = sum.saturating_add(count);
        }
        total.broken = total.broken.saturating_add(one.broken);
        total.latencies.extend(one.latencies);
    }
    total.latencies.sort_unstable();
    println!("{}", report(&total, start.elapsed()));
    Ok(())
}

fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let mut plan = Plan {
        port: 10_000,
        path: "/".to_owned(),
        headers: Vec::new(),
        lines: Vec::new(),
        count: 1_000,
        first: 0,
        connections: 8,
        http2: false,
        next: AtomicU32::new(0),
    };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        let number = || value.parse::<u32>().map_err(|_| format!("`{value}` is not a number"));
        match name.as_str() {
            "--port" => plan.port = value.parse().map_err(|_| format!("`{value}` is no port"))?,
            "--path" => plan.path = value,
            "--header" => plan.headers.push(value),
            "--count" => plan.count = number()?,
            "--first" => plan.first = number()?,
            "--http" => plan.http2 = number()? == 2,
            "--connections" => plan.connections = number()?.max(1),
            "--lines" => {
                let text = std::fs::read_to_string(&value)
                    .map_err(|error| format!("cannot read `{value}`: {error}"))?;
                plan.lines = text.lines().map(str::to_owned).collect();
            }
            _ => return Err(format!("`{name}` is not known")),
        }
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Answers {
    let mut answers = Answers::default();
    let mut connection = None;
    loop {
        let turn = plan.next.fetch_add(1, Ordering::Relaxed);
        if turn >= plan.count {
            return answers;
        }
        let request = request(plan, plan.first.saturating_add(turn));
        let begun = Instant::now();
        if let Ok(status) = exchange(&mut connection, plan, &request) {
            let count = answers.by_status.entry(status).or_default();
            *count = count.saturating_add(1);
        } else {
            connection = None;
            answers.broken = answers.broken.saturating_add(1);
        }
        answers.latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

/// Any address of 32.0.0.0/3, another one with every turn.
fn request(plan: &Plan, turn: u32) -> Request {
    let address = Ipv4Addr::from_bits(0x2000_0000 | turn & 0x1fff_ffff).to_string();
    let line = usize::try_from(turn)
        .ok()
        .and_then(|turn| plan.lines.get(turn.checked_rem(plan.lines.len())?))
        .map_or("", String::as_str);
    let fill = |text: &String| text.replace("{address}", &address).replace("{line}", line);
    Request { path: fill(&plan.path), lines: plan.headers.iter().map(fill).collect() }
}

enum Connection {
    One(http1::Connection),
    Two(http2::Connection),
}

/// Sends a request, on a new connection where there is none, and gives the status of its answer.
fn exchange(
    connection: &mut Option<Connection>,
    plan: &Plan,
    request: &Request,
) -> std::io::Result<u16> {
    let held = match connection {
        Some(held) => held,
        None => connection.insert(open(plan)?),
    };
    match held {
        Connection::Two(two) => two.exchange(request),
        Connection::One(one) => {
            let (status, stays) = one.exchange(request)?;
            if !stays {
                *connection = None;
            }
            Ok(status)
        }
    }
}

fn open(plan: &Plan) -> std::io::Result<Connection> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, plan.port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(if plan.http2 {
        Connection::Two(http2::Connection::new(stream)?)
    } else {
        Connection::One(http1::Connection::new(stream))
    })
}

fn report(answers: &Answers, elapsed: Duration) -> String {
    let percentile = |thousandths: usize| {
        let last = answers.latencies.len().saturating_sub(1);
        let at = last.saturating_mul(thousandths).checked_div(1_000).unwrap_or(0);
        answers.latencies.get(at).copied().unwrap_or(0)
    };
    let statuses: Vec<_> =
        answers.by_status.iter().map(|(status, count)| format!("\"{status}\": {count}")).collect();
    format!(
        "{{\"statuses\": {{{}}}, \"broken\": {}, \"seconds\": {:.3}, \"p50_us\": {}, \"p99_us\": {}, \"max_us\": {}}}",
        statuses.join(", "),
        answers.broken,
        elapsed.as_secs_f64(),
        percentile(500),
        percentile(990),
        percentile(1_000),
    )
}
