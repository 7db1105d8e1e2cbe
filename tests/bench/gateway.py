"""One Envoy on loopback, and the CPU time and the memory that it uses."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import chains

READY_SECONDS = 60
GUARD = 2 << 30  # bytes: less than what V8 keeps free, more than anybody else does
GIVEN = set()


class Trouble(Exception):
    """One sentence for the person at the terminal."""


class Gateway:
    """Runs on those cores, with one worker unless told otherwise."""

    def __init__(self, envoy, chain, cores, environment=None, workers=1, upstream=None):
        self.begun, self.workers = time.monotonic(), workers
        self.folder = tempfile.TemporaryDirectory(prefix="portcullis-bench-")
        self.path = Path(self.folder.name)
        self.port, admin = free_ports(2)
        self.admin = f"http://127.0.0.1:{admin}"
        (self.path / "envoy.json").write_text(json.dumps(chains.configuration(chain, self.port, admin, self.access_log, upstream)))
        command = [str(envoy), "-c", str(self.path / "envoy.json"), "--concurrency", str(workers), "-l", "warning", "--disable-hot-restart"]
        with (self.path / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | (environment or {}),
                preexec_fn=lambda: os.sched_setaffinity(0, cores))

    @property
    def access_log(self):
        return self.path / "access.log"

    def wait(self):
        deadline = time.monotonic() + READY_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"Envoy did not start:\n{(self.path / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"{self.admin}/ready", timeout=5):
                return True
        except OSError:
            return False

    def age(self):
        """Seconds since the start."""
        return time.monotonic() - self.begun

    def cpu(self, threads=""):
        """Seconds, user and system, of all threads, or of those whose names begin so."""
        spent = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (task / "comm").read_text().startswith(threads):
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def memory(self):
        """Megabytes that are in memory (RSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def vm_memory(self):
        """Megabytes of the largest Wasm VM's memory; 0 without one. V8 keeps gigabytes of addresses free behind each."""
        largest, before = 0, (0, 0)
        for line in Path(f"/proc/{self.process.pid}/maps").read_text().splitlines():
            addresses, rights, *_ = line.split()
            start, end = (int(address, 16) for address in addresses.split("-"))
            if rights == "---p" and end - start > GUARD and before[1] == start:
                largest = max(largest, start - before[0])
            before = (start, end)
        return largest / 2**20

    def count(self, name):
        """The sum of all counters whose name ends in `name`."""
        with urllib.request.urlopen(f"{self.admin}/stats?format=json", timeout=5) as answer:
            stats = json.load(answer)["stats"]
        return sum(stat["value"] for stat in stats if stat.get("name", "").endswith(name))

    def forget_log(self):
        """Envoy appends, so it goes on at the new end."""
        os.truncate(self.access_log, 0)

    def status(self, headers, source="127.0.0.1", path=chains.path()):
        """The status that one request gets."""
        lines = [f"GET {path} HTTP/1.1", "host: api.example.com", "connection: close", *headers, "", ""]
        with socket.create_connection(("127.0.0.1", self.port), 5, (source, 0)) as connection:
            connection.sendall("\r\n".join(lines).encode())
            return int(connection.makefile("rb").readline().split()[1])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()


def free_ports(count):
    """Ports that nobody has, and none that was given away before: its Envoy may not have it yet."""
    fresh = []
    while len(fresh) < count:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        if port not in GIVEN:
            GIVEN.add(port)
            fresh.append(port)
    return fresh
