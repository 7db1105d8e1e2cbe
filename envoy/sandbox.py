"""The sandbox's processes: which there are, where they listen, and how they are started and ended.

`scripts/up` and `scripts/down` share this file. Everything that runs has a file in `.run/` with its
process id and start time; a process is only ever ended when both still agree.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
ACCESS_LOG = RUN / "access.log"
ENVOY_LOG = RUN / "envoy.log"

# Name, and the service, version and endpoint that it answers with. The first listens on the first
# upstream port of envoy.yaml, the others on those that follow.
UPSTREAMS = {
    "orders-v1-a": ("orders", "v1", "a"),
    "orders-v1-b": ("orders", "v1", "b"),
    "orders-v2-a": ("orders", "v2", "a"),
    "orders-v2-b": ("orders", "v2", "b"),
    "partner": ("partner", "v1", "a"),
    "internal-only": ("internal-only", "v1", "a"),
}
# All that stands behind Envoy. The issuer of tokens listens on the port after the endpoints'.
SERVICES = [*UPSTREAMS, "issuer"]


class Trouble(Exception):
    """One sentence for the person at the terminal."""


def start_time(pid):
    """When the process started, in clock ticks since boot; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state == "Z" else ticks


def running(name):
    """The process id that `name` runs under, or None."""
    try:
        pid, ticks = (RUN / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_time(pid) == ticks else None


def start(name, command, output):
    """Starts `command` in a session of its own: Ctrl-C at the terminal reaches only its starter."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=ENVOY_LOG.open("ab"),
        start_new_session=True,
    )
    (RUN / f"{name}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")
    return process


def stop(name, how=signal.SIGTERM, patience=5.0):
    """Ends `name` and waits for it, at most `patience` seconds before it is killed. True if it ran."""
    pid = running(name)
    if pid is not None:
        os.kill(pid, how)
        deadline = time.monotonic() + patience
        while running(name) == pid:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += patience
            time.sleep(0.05)
            reap(pid)
    (RUN / f"{name}.pid").unlink(missing_ok=True)
    return pid is not None


def reap(pid):
    """Collects a child that has ended; somebody else's child is left to its parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def stop_all():
    """Ends Envoy first, then the services at once: nobody is left to drain for. Returns what ran."""
    ended = [name for name in ["envoy"] if stop(name)]
    return ended + [name for name in SERVICES if stop(name, signal.SIGINT)]


def start_service(name, port):
    program = ["issuer.py"]
    if name in UPSTREAMS:
        service, version, endpoint = UPSTREAMS[name]
        program = ["upstream.py", "--service", service, "--version", version, "--endpoint", endpoint]
    command = [sys.executable, "-u", ROOT / "envoy" / program[0], *program[1:], "--port", port]
    return start(name, command, subprocess.DEVNULL)


def demand_free(address, port, option):
    """Refuses a port that somebody else listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise Trouble(
                f"port {port} on {address} cannot be used ({error.strerror}): "
                f"free it or choose another with {option}"
            ) from None
