"""What the token tests share: an Envoy with the filter, requests on it, and how results are printed."""

import contextlib
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "envoy"))
sys.dont_write_bytecode = True
from upstream import Endpoint

ENVOY = os.environ.get("PORTCULLIS_ENVOY", ROOT / ".tools/envoy-1.40.0/bin/envoy")
MODULE = os.environ.get("PORTCULLIS_WASM", ROOT / "target/portcullis.wasm")
LOAD = ROOT / "target/portcullis-load"
TYPE = "type.googleapis.com/envoy"
NUMBERS = itertools.count(1)
# A key of the policies below, and its digest.
API_KEY = "pcl_gnHKlrXR6v5CqqVriZ3gEwEI1FzRXXruHsrBpcnRpMA0ZBup3"
API_KEY_DIGEST = "b769e376e3b6b23e798b272462945eb21bdbdacb302a362cbf89afc4abc7ab14"


class Failed(Exception):
    """What differs from what is required."""


def require(held, *said):
    if not held:
        raise Failed(" ".join(str(part) for part in said))


def eventually(what, seconds=10.0, pause=0.05):
    """The first true value that `what` gives within so many seconds, or its last one."""
    end = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < end:
        time.sleep(pause)
    return value


class Results:
    """Runs tests and prints them as `cargo test` does."""

    def __init__(self):
        self.passed = self.failed = 0

    def test(self, name, part, *arguments):
        start = time.monotonic()
        try:
            said = part(*arguments)
        except Exception as error:  # a test fails by whatever it raises
            self.failed += 1
            kind = "" if isinstance(error, Failed) else f"{type(error).__name__}: "
            print(f"test {name} ... FAILED\n{kind}{error}", flush=True)
        else:
            self.passed += 1
            said = f" ({said})" if said else ""
            print(f"test {name} ... ok, {time.monotonic() - start:.1f} s{said}", flush=True)

    def end(self):
        state = "FAILED" if self.failed else "ok"
        print(f"\ntest result: {state}. {self.passed} passed; {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def policy(issuers, **changes):
    """A policy with a public route, one for API keys, and one for each issuer's tokens and all of them."""
    routes = [
        {"name": "public", "paths": ["/public"], "methods": ["GET"], "access": "public"},
        {"name": "keys", "paths": ["/keys"], "methods": ["GET"], "credentials": ["api_key"]},
        {"name": "either", "paths": ["/either"], "methods": ["GET"], "credentials": ["api_key", "jwt"]},
        {"name": "tokens", "paths": ["/tokens"], "methods": ["GET"], "credentials": ["jwt"],
         "scopes": {"all_of": ["orders:read"]}},
        {"name": "write", "paths": ["/write"], "methods": ["GET"], "credentials": ["jwt"],
         "scopes": {"all_of": ["orders:write"]}},
    ]
    consumers = [{"name": "shop", "scopes": ["orders:read"], "api_keys": [{"id": "shop-1", "sha256": API_KEY_DIGEST}]}]
    return {"version": 1, "gateway": "tokens", "realm": "tests", "consumers": consumers, "issuers": issuers, "routes": routes, **changes}


class Envoy:
    """An Envoy on loopback, and what can be learned of it from outside."""

    def __init__(self, workers=2):
        self.workers = workers
        self.port, self.admin = free_port(), free_port()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)

    def start(self, bootstrap):
        """Starts it on that configuration and waits until every worker serves."""
        (self.path / "envoy.json").write_text(json.dumps(bootstrap))
        command = [ENVOY, "-c", self.path / "envoy.json", "--concurrency", self.workers, "--log-level", "warning",
                   "--component-log-level", "wasm:info", "--disable-hot-restart", "--file-flush-interval-msec", 20]
        with (self.path / "log").open("ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=log, stderr=log)
        eventually(lambda: self.process.poll() is not None or self.stat("listener_manager.workers_started") == 1, 60)
        if self.process.poll() is not None or not reachable(self.port):
            self.stop()
            raise Failed(f"Envoy did not start:\n{self.said[-4000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.said = self.log()
        self.folder.cleanup()

    def stat(self, name):
        found = self.stats(f"^{re.escape(name)}$")
        return found.get(name)

    def stats(self, pattern):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/stats?filter={pattern}", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return {}
        pairs = (line.rpartition(": ") for line in lines)
        return {name: int(value) for name, _, value in pairs if value.isdecimal()}

    def total(self, name):
        """A metric of the filter, whatever its labels."""
        return sum(self.stats(f"portcullis.{name}").values())

    def log(self):
        return (self.path / "log").read_text(errors="replace")

    def no_trap(self):
        """Nothing brought the VM down."""
        require(self.process.poll() is None, "Envoy ended:", self.log()[-2000:])
        for word in ("Uncaught", "unreachable", "Proxy-Wasm plugin in-VM threw an exception", "panicked"):
            require(word not in self.log(), f"`{word}` in Envoy's log:", self.log()[-2000:])


class Gateway(Envoy):
    """One Envoy with one listener, whose policy can be replaced."""

    def __init__(self, policy, clusters, workers=2, direct=False, module=MODULE):
        """With `direct` Envoy itself answers what passes; otherwise an upstream in this process does."""
        super().__init__(workers)
        self.module = module
        self.policy, self.clusters, self.direct = policy, clusters, direct
        self.upstream = Endpoint(("127.0.0.1", 0), {"service": "tests"})
        self.reasons = {}

    def __enter__(self):
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        self.write_listener(self.policy)
        clusters = [cluster(name, port) for name, port in self.clusters.items()]
        clusters.append(cluster("upstream", self.upstream.server_port))
        try:
            self.start({
                "node": {"id": "tokens", "cluster": "tokens"},
                "admin": {"address": address(self.admin)},
                "dynamic_resources": {"lds_config": {"path_config_source": {"path": str(self.path / "lds.json")}}},
                "static_resources": {"clusters": clusters},
            })
        except Failed:
            self.close_upstream()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        self.close_upstream()

    def close_upstream(self):
        self.upstream.shutdown()
        self.upstream.server_close()

    def write_listener(self, policy):
        fresh = self.path / "lds.new"
        fresh.write_text(json.dumps({"resources": [listener(policy, self.port, self.path / "access.log", self.direct, self.module)]}))
        fresh.rename(self.path / "lds.json")

    def replace(self, policy):
        """Loads another policy, as a reload does, and waits until every worker has it."""
        before = self.stat("listener_manager.listener_modified")
        self.write_listener(policy)
        require(eventually(lambda: self.stat("listener_manager.listener_modified") > before), self.log()[-2000:])

    def ask(self, path, token=None, key=None, body=None, timeout=30):
        """One request on a connection of its own."""
        headers = {"x-request-id": str(next(NUMBERS))}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if key is not None:
            headers["x-api-key"] = key
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            start = time.monotonic()
            connection.request("GET", path, body, headers)
            answer = connection.getresponse()
            said = answer.read().decode()
            return Answer(self, headers["x-request-id"], answer.status, answer.headers, said, time.monotonic() - start)
        finally:
            connection.close()

    def reason(self, number):
        """Envoy's response code details of that request, from the access log."""
        def read():
            for line in (self.path / "access.log").read_text(errors="replace").splitlines():
                request, _, details = line.partition("\t")
                self.reasons[request] = details
            return number in self.reasons
        eventually(read, 3)
        return self.reasons.get(number)


class Answer:
    """What came back, with the reason from the access log where a test asks for it."""

    def __init__(self, gateway, number, status, headers, body, seconds):
        self.gateway, self.number, self.seconds = gateway, number, seconds
        self.status, self.headers, self.body = status, headers, body

    @property
    def reason(self):
        return self.gateway.reason(self.number)

    @property
    def challenges(self):
        return self.headers.get_all("www-authenticate") or []

    def must_be(self, status, reason=None, about=""):
        require(self.status == status, about, f"expected {status}, got {self.status} ({self.reason}):", self.body)
        if reason:
            require(self.reason == reason, about, f"expected {reason}, got {self.reason}")
        return self


def listener(policy, port, log, direct, module):
    action = {"direct_response": {"status": 200}} if direct else {"route": {"cluster": "upstream"}}
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tokens",
        "http_protocol_options": {"enable_trailers": True},
        "use_remote_address": True,
        "preserve_external_request_id": True,
        "route_config": {"virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]},
        "http_filters": [wasm_filter(policy, module), {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"}}],
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": f"{TYPE}.extensions.access_loggers.file.v3.FileAccessLog", "path": str(log),
            "log_format": {"text_format_source": {"inline_string": "%REQ(X-REQUEST-ID)%\t%RESPONSE_CODE_DETAILS%\n"}}}}],
    }
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": "tokens",
        "address": address(port),
        "per_connection_buffer_limit_bytes": 65536,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }


def wasm_filter(policy, module):
    vm = {"vm_id": "portcullis", "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(module)}}}
    text = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(policy)}
    config = {"name": "portcullis", "failure_policy": "FAIL_RELOAD", "vm_config": vm, "configuration": text}
    return {"name": "portcullis", "typed_config": {"@type": f"{TYPE}.extensions.filters.http.wasm.v3.Wasm", "config": config}}


def cluster(name, port):
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]
    return {"name": name, "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


GIVEN = set()


def free_port():
    """None that was given before, nor one that the kernel gives to outgoing connections: it is bound a while later."""
    while True:
        port = random.randrange(15000, 30000)
        if port in GIVEN:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            GIVEN.add(port)
            return port


def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def build_load():
    """The project's own generator: one file without dependencies, compiled alone."""
    source = ROOT / "tests/load/main.rs"
    if not LOAD.exists() or LOAD.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["rustc", "--edition", "2024", "-O", source, "-o", LOAD], cwd=ROOT, check=True)


def start_load(gateway, path, count, headers, connections=8, lines=None):
    command = [LOAD, "--port", gateway.port, "--count", count, "--connections", connections, "--path", path]
    command += [word for header in headers for word in ("--header", header)]
    command += ["--lines", lines] if lines else []
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
