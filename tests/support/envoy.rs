//! A real Envoy: started for a test, asked, stopped.

use crate::bootstrap::{self, Listener};
use crate::case::Request;
use crate::expect::{Gateway, Seen};
use crate::http1::Client;
use crate::presented;
use crate::template;
use crate::token::keys;
use crate::upstream::Upstream;
use portcullis_core::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The Envoy to test with: `PORTCULLIS_ENVOY`, or the one that `scripts/up` installs.
pub fn binary() -> PathBuf {
    std::env::var_os("PORTCULLIS_ENVOY")
        .map_or_else(|| root().join(".tools/envoy-1.40.0/bin/envoy"), PathBuf::from)
}

/// The module under test: `PORTCULLIS_WASM`, or the one that `scripts/build` writes.
pub fn module() -> PathBuf {
    std::env::var_os("PORTCULLIS_WASM")
        .map_or_else(|| root().join("target/portcullis.wasm"), PathBuf::from)
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package has a parent").to_owned()
}

/// A running Envoy; dropped, it is stopped and its folder removed.
pub struct Envoy {
    child: Child,
    pub folder: PathBuf,
    pub admin: SocketAddr,
    pub listeners: HashMap<String, SocketAddr>,
    pub upstream: Upstream,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    read_to: u64,
    lines: HashMap<String, (String, String)>,
}

/// A new folder of this process, for the files of one Envoy.
pub fn new_folder() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("portcullis-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
}

impl Envoy {
    /// Starts an Envoy with these listeners and waits until it serves them.
    pub fn start(listeners: &[Listener], workers: u32) -> Result<Self, String> {
        let upstream = Upstream::start();
        let folder = new_folder();
        let config = bootstrap::bootstrap(
            listeners,
            upstream.address,
            &module(),
            &folder.join("access.log"),
        );
        Self::start_with(&config, workers, folder, upstream)
    }

    /// Starts an Envoy with a whole bootstrap.
    pub fn start_with(
        config: &Value,
        workers: u32,
        folder: PathBuf,
        upstream: Upstream,
    ) -> Result<Self, String> {
        let file = folder.join("envoy.json");
        std::fs::write(&file, config.to_string()).map_err(|fault| fault.to_string())?;
        let output =
            std::fs::File::create(folder.join("envoy.log")).map_err(|fault| fault.to_string())?;
        let child = Command::new(binary())
            .envs(keys::environment())
            .args([
                "--disable-hot-restart",
                "--log-level",
                "info",
                "--file-flush-interval-msec",
                "20",
            ])
            .args(["--concurrency", &workers.to_string()])
            .arg("--admin-address-path")
            .arg(folder.join("admin"))
            .arg("--config-path")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(|fault| format!("cannot start {}: {fault}", binary().display()))?;
        let nowhere = "127.0.0.1:0".parse().expect("an address");
        let mut envoy = Self {
            child,
            folder,
            admin: nowhere,
            listeners: HashMap::new(),
            upstream,
            log: Mutex::default(),
        };
        envoy.wait()?;
        Ok(envoy)
    }

    fn wait(&mut self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_mins(2);
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("envoy ended with {status}:\n{}", self.own_log()));
            }
            if let Some(admin) = self.admin_address() {
                self.admin = admin;
                if self.ask("/ready").is_ok_and(|answer| answer.starts_with("LIVE")) {
                    return self.find_listeners();
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("envoy is not ready after 120 seconds:\n{}", self.own_log()))
    }

    fn admin_address(&self) -> Option<SocketAddr> {
        std::fs::read_to_string(self.folder.join("admin")).ok()?.trim().parse().ok()
    }

    /// Reads the addresses of the listeners again, as after a change of them.
    pub fn find_listeners(&mut self) -> Result<(), String> {
        let answer: Value = serde_json::from_str(&self.ask("/listeners?format=json")?)
            .map_err(|fault| fault.to_string())?;
        for status in answer["listener_statuses"].as_array().into_iter().flatten() {
            let socket = &status["local_address"]["socket_address"];
            let address =
                format!("{}:{}", socket["address"].as_str().unwrap_or(""), socket["port_value"]);
            let name = status["name"].as_str().unwrap_or("").to_owned();
            self.listeners
                .insert(name, address.parse().map_err(|_| format!("no address in {status}"))?);
        }
        Ok(())
    }

    /// The answer of the admin interface to a GET.
    pub fn ask(&self, path: &str) -> Result<String, String> {
        let fault = |fault: std::io::Error| format!("admin {path}: {fault}");
        let mut client = Client::connect(self.admin).map_err(fault)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        let response = client.exchange(request.as_bytes()).map_err(fault)?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// What Envoy and the filter wrote to Envoy's log.
    pub fn own_log(&self) -> String {
        std::fs::read(self.folder.join("envoy.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// Response code details and audit text of the access log line with that request id.
    pub fn log_line(&self, request_id: &str) -> Option<(String, String)> {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            let mut log = self.log.lock().expect("no thread panics with the lock");
            if let Some(line) = log.lines.remove(request_id) {
                return Some(line);
            }
            let _ = log.read_more(&self.folder.join("access.log"));
            if !log.lines.contains_key(request_id) {
                drop(log);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        None
    }
}

impl Log {
    fn read_more(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = std::fs::File::open(path)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read_to += whole as u64;
        for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            if let (Some(id), Some(details), Some(audit)) =
                (parts.next(), parts.next(), parts.next())
            {
                self.lines.insert(id, (details, audit));
            }
        }
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::env::var_os("PORTCULLIS_KEEP").is_none() && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One listener of a running Envoy as the gateway of one case.
pub struct Through<'e> {
    envoy: &'e Envoy,
    listener: SocketAddr,
    start: Instant,
    began: Timestamp,
    with_log: bool,
}

impl<'e> Through<'e> {
    /// Waits for the access log of each request if asked to: what Envoy itself refuses may have none.
    pub fn new(envoy: &'e Envoy, listener: &str, with_log: bool) -> Self {
        let (start, began) = (Instant::now(), template::real_now());
        Self { envoy, listener: envoy.listeners[listener], start, began, with_log }
    }
}

impl Gateway for Through<'_> {
    fn began(&self) -> Option<Timestamp> {
        Some(self.began)
    }

    fn send(&mut self, request: &Request, at: u64) -> Result<Seen, String> {
        std::thread::sleep(Duration::from_nanos(at).saturating_sub(self.start.elapsed()));
        let id = request_id();
        let peer = request.peer.as_ref().map(|peer| peer.parse().expect("peer is address:port"));
        let response = Client::connect_as(self.listener, peer)
            .and_then(|mut client| client.exchange(&wire(request, &id)))
            // A connection closed without an answer is a refusal, too; it shows as status 0.
            .unwrap_or_default();
        let line = if self.with_log { self.envoy.log_line(&id) } else { None };
        let (details, audit) = line.unwrap_or_default();
        Ok(Seen {
            status: response.status,
            headers: response.headers,
            body: response.body,
            upstream: self.envoy.upstream.take(&id),
            audit: serde_json::from_str(&audit).ok(),
            details: Some(details),
        })
    }
}

/// A request id that no other request of this process has.
pub fn request_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("case-{:08x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The bytes of a request on an HTTP/1.1 connection.
pub fn wire(request: &Request, request_id: &str) -> Vec<u8> {
    let mut out = template::bytes(&request.method);
    out.push(b' ');
    let target = match (&request.host, request.path.as_str()) {
        (Some(host), "") if request.method == "CONNECT" => host,
        _ => &request.path,
    };
    out.extend(template::bytes(target));
    out.extend(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        out.extend([name, b": ", value, b"\r\n"].concat());
    };
    if let Some(host) = &request.host {
        line(b"host", &template::bytes(host));
    }
    for (name, value) in presented::lines(request) {
        line(&name, &value);
    }
    if let Some(name) = &request.route_name {
        line(b"x-test-route", &template::bytes(name));
    }
    line(b"x-request-id", request_id.as_bytes());
    let body = request.body.as_deref().map(template::bytes).unwrap_or_default();
    if !request.trailers.is_empty() {
        line(b"transfer-encoding", b"chunked");
        out.extend(b"\r\n");
        out.extend(format!("{:x}\r\n", body.len().max(1)).bytes());
        out.extend(if body.is_empty() { b"." } else { body.as_slice() });
        out.extend(b"\r\n0\r\n");
        for (name, value) in request.trailers.iter().map(|it| presented::header(it)) {
            out.extend([name.as_slice(), b": ", &value, b"\r\n"].concat());
        }
        out.extend(b"\r\n");
        return out;
    }
    if !body.is_empty() {
        line(b"content-length", body.len().to_string().as_bytes());
    }
    out.extend(b"\r\n");
    out.extend(body);
    out
}
