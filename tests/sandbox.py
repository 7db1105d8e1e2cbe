#!/usr/bin/env python3
"""Runs the README against the sandbox: its commands, its policies, one endpoint stopped under load.

The sandbox is brought up by scripts/up on free ports and taken down at the end. The convention for the
README's blocks is in a comment there. The last line is in the form that `cargo test` prints.
"""

import base64
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
# Also one that is indented as a part of a list.
BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMPANION = ["cargo", "run", "--quiet", "--locked", "--package", "portcullis-cli", "--"]
# Fenced commands that are not run here, and why.
EXEMPT = {
    "scripts/up": "stays in the foreground; its --detach form is run",
    "scripts/test": "is what runs this",
}


class Failed(Exception):
    """What differs from what the README says."""


class Ports:
    """Free ports for the sandbox, and the README's text with them in the place of its own."""

    def __init__(self):
        self.external, self.internal, self.admin = free(), free(), free()
        self.upstream = free(7)
        self.environment = {
            **os.environ,
            "PORTCULLIS_EXTERNAL_PORT": str(self.external),
            "PORTCULLIS_INTERNAL_PORT": str(self.internal),
            "PORTCULLIS_ADMIN_PORT": str(self.admin),
            "PORTCULLIS_UPSTREAM_PORT": str(self.upstream),
        }

    def moved(self, command):
        for old, new in [(10000, self.external), (10001, self.internal), (9901, self.admin), (10017, self.upstream + 6)]:
            command = re.sub(rf"127\.0\.0\.1:{old}\b", f"127.0.0.1:{new}", command)
        return command


def free(count=1):
    """A free port; or the first of so many in a row. None that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(15000, 30000)
        try:
            for number in range(port, port + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
            return port
        except OSError:
            continue


def run(command, ports, seconds=600):
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=ports.environment, capture_output=True, text=True,
        errors="replace", timeout=seconds,
    )


def commands(kind):
    """Each command of the README's blocks of that kind, with the lines that follow it and its block's number."""
    for number, (name, text) in enumerate(BLOCK.findall(README)):
        if name != kind:
            continue
        command, lines = None, []
        for line in textwrap.dedent(text).splitlines():
            if kind == "sh":
                yield line.split(" #")[0].strip(), [], number
            elif line.startswith("$ "):
                if command:
                    yield command, lines, number
                command, lines = line[2:], []
            else:
                lines.append(line)
        if command:
            yield command, lines, number


def console(command, lines, ports, kept=()):
    """Gives a command to bash, behind what is kept of its block, and holds its output against the README.

    One that reads something only, such as metrics that come with the next tick, has a few seconds.
    """
    end = time.monotonic() + (0 if " # " in command else 5)
    while True:
        try:
            return once(command, lines, ports, kept)
        except Failed:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def once(command, lines, ports, kept):
    status = re.search(r"\s+#\s+(\d{3})\b.*$", command)
    result = run("\n".join([*kept, ports.moved(command)]), ports)
    said = result.stdout + result.stderr
    if status:
        seen = re.findall(r"^HTTP/\S+ (\d{3})", result.stdout, re.MULTILINE)
        if not seen or seen[-1] != status[1]:
            raise Failed(f"expected {status[1]}, got {seen}:\n{said}")
    elif result.returncode:
        raise Failed(f"exit code {result.returncode}:\n{said}")
    for line in lines:
        if line.strip() and line not in said:
            raise Failed(f"`{line}` is not in:\n{said}")


def variable(command, ports, kept):
    """A line that sets a variable: the value is kept for the lines of its block that follow."""
    name = command.partition("=")[0]
    result = run("\n".join([*kept, f"{ports.moved(command)}\n[ -n \"${name}\" ] && declare -p {name}"]), ports)
    if result.returncode:
        raise Failed(f"{name} is empty: {result.stderr}")
    kept.append(result.stdout)


def policies():
    """The README's whole policies."""
    return [text for name, text in BLOCK.findall(README) if name == "yaml" and text.startswith("version: 1")]


def compiles(policy):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(policy)
        file.flush()
        result = subprocess.run([*COMPANION, "check", file.name], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise Failed(result.stdout + result.stderr)


def second_start(ports):
    start = time.monotonic()
    result = run("scripts/up --detach", ports)
    if result.returncode or "already up" not in result.stdout:
        raise Failed(result.stdout + result.stderr)
    if time.monotonic() - start > 10:
        raise Failed(f"took {time.monotonic() - start:.0f} s")


def port_taken(ports):
    """A start beside the one that runs is refused in one sentence."""
    other = Ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", other.external))
        taken.listen()
        result = run("scripts/up --detach", other)
    # Before it stands what cargo says of the build.
    said = [line for line in result.stderr.splitlines() if line.startswith("scripts/up: ")]
    if result.returncode == 0 or len(said) != 1 or "Traceback" in result.stderr:
        raise Failed(f"exit code {result.returncode}: {result.stderr}")


def endpoint_stops(ports):
    """While one of two endpoints ends, no request is lost."""
    statuses, stop = [], threading.Event()

    def call():
        # Slower than the limit by address, on a quick machine too.
        while not stop.wait(0.003):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ports.external}/v1/catalog", timeout=5) as answer:
                    statuses.append(answer.status)
            except OSError as error:
                statuses.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    ended = run("scripts/down orders-v1-a", ports)
    time.sleep(1)
    again = run("scripts/up --detach", ports)
    time.sleep(0.5)
    stop.set()
    for caller in callers:
        caller.join()
    if ended.returncode or again.returncode:
        raise Failed(ended.stderr + again.stderr)
    if len(statuses) < 100 or set(statuses) != {200}:
        raise Failed(f"{len(statuses)} requests: {set(statuses)}")


def token_endpoint(ports):
    """Errors of section 5.2, and answers that nobody may keep."""
    good = {"grant_type": "client_credentials"}
    basic = {"authorization": "Basic " + base64.b64encode(b"auditor:sandbox-auditor").decode()}
    wrong = {"authorization": "Basic " + base64.b64encode(b"auditor:guess").decode()}
    in_form = {"client_id": "auditor", "client_secret": "sandbox-auditor"}
    for form, headers, status, error in [
        (good, basic, 200, None),
        ({**good, **in_form}, {}, 200, None),
        ({**good, "scope": "orders:read"}, basic, 200, None),
        (good, {}, 401, "invalid_client"),
        (good, wrong, 401, "invalid_client"),
        ({**good, "client_id": "nobody", "client_secret": ""}, {}, 401, "invalid_client"),
        ({**good, **in_form}, basic, 400, "invalid_request"),
        ({}, basic, 400, "invalid_request"),
        ({"grant_type": "password"}, basic, 400, "unsupported_grant_type"),
        ({**good, "scope": "orders:write"}, basic, 400, "invalid_scope"),
        ({**good, "scope": ""}, basic, 400, "invalid_scope"),
        ([*good.items(), *good.items()], basic, 400, "invalid_request"),
    ]:
        answer = post(f"http://127.0.0.1:{ports.upstream + 6}/token", form, headers)
        said = json.load(answer)
        if answer.status != status or said.get("error") != error or answer.headers["cache-control"] != "no-store":
            raise Failed(f"{form}: {answer.status} {said}")
        if (status == 401) != ("www-authenticate" in answer.headers):
            raise Failed(f"{form}: the challenge of {status}")


def post(url, form, headers):
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers)
    try:
        return urllib.request.urlopen(request, timeout=5)
    except urllib.error.HTTPError as error:
        return error


def issuer_stops(ports):
    """While the issuer is away its tokens work; what it signs after its return works as well."""
    def call(token):
        request = urllib.request.Request(f"http://127.0.0.1:{ports.external}/v1/orders", headers={"authorization": f"Bearer {token}"})
        urllib.request.urlopen(request, timeout=10).close()

    def token():
        form = {"grant_type": "client_credentials", "client_id": "auditor", "client_secret": "sandbox-auditor"}
        return json.load(post(f"http://127.0.0.1:{ports.upstream + 6}/token", form, {}))["access_token"]

    held = token()
    call(held)
    for command, count in [("scripts/down issuer", 20), ("scripts/up --detach", 1)]:
        result = run(command, ports)
        if result.returncode:
            raise Failed(result.stderr)
        for _ in range(count):
            call(held)
    # Its keys are new, and within the cool-down of the last fetch nobody asks for them.
    end = time.monotonic() + 10
    while True:
        try:
            return call(token())
        except urllib.error.HTTPError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def audit_lines(ports):
    """Every line of the access log is JSON, also for hostile requests, and holds no key."""
    with socket.create_connection(("127.0.0.1", ports.external), timeout=5) as caller:
        hostile = b'GET /v1/catalog HTTP/1.1\r\nhost: a","x":"\r\nuser-agent: ","audit":[]\xff\x1b\r\n'
        caller.sendall(hostile + b'x-request-id: ","outcome":"allowed\r\nconnection: close\r\n\r\n')
        caller.recv(65536)
    time.sleep(1)
    lines = (ROOT / ".run/access.log").read_text(errors="replace").splitlines()
    if len(lines) < 20:
        raise Failed(f"only {len(lines)} lines")
    for line in lines:
        try:
            json.loads(line)
        except ValueError as error:
            raise Failed(f"{error}: {line}") from None
        if "pcl_" in line or "eyJ" in line:
            raise Failed(f"a credential in {line}")


def hardened():
    """What a filter cannot enforce stands in the reference deployment."""
    text = (ROOT / "envoy/envoy.yaml").read_text()
    for setting in [
        "failure_policy: FAIL_RELOAD", "normalize_path: true", "merge_slashes: true",
        "path_with_escaped_slashes_action: REJECT_REQUEST", "headers_with_underscores_action: REJECT_REQUEST",
        "strip_trailing_host_dot: true", "use_remote_address: true", "max_stream_duration",
        "early_header_mutation",
    ]:
        if setting not in text:
            raise Failed(f"envoy/envoy.yaml does not set `{setting}`")


def down(ports):
    result = run("scripts/down", ports)
    if result.returncode:
        raise Failed(result.stderr)
    for port in (ports.external, ports.internal, ports.admin):
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))


def main():
    ports, results = Ports(), []

    def test(name, part, *arguments):
        try:
            part(*arguments)
            results.append(True)
            print(f"test {name} ... ok", flush=True)
        except Exception as error:  # a test fails by whatever it raises
            results.append(False)
            print(f"test {name} ... FAILED\n{error}", flush=True)

    test("the reference deployment is hardened", hardened)
    for number, policy in enumerate(policies()):
        test(f"policy {number} of the README compiles", compiles, policy)
    started = run("scripts/up --detach", ports, 1200)
    if started.returncode:
        print(f"{started.stdout}{started.stderr}\ntest result: FAILED. 0 passed; 1 failed")
        sys.exit(1)
    try:
        kept, block = [], None
        for command, lines, number in commands("console"):
            if number != block:
                kept, block = [], number
            if re.match(r"[A-Z_]+=", command):
                test(f"README: {command[:100]}", variable, command, ports, kept)
            else:
                test(f"README: {command[:100]}", console, command, lines, ports, kept)
        for command, _, _ in commands("sh"):
            if command and command not in EXEMPT:
                test(f"README: {command}", console, command, [], ports)
        test("a second start is quick", second_start, ports)
        test("an endpoint stops and no request is lost", endpoint_stops, ports)
        test("the issuer's token endpoint answers as RFC 6749 has it", token_endpoint, ports)
        test("the issuer stops and its tokens go on", issuer_stops, ports)
        test("every line of the access log is JSON", audit_lines, ports)
    finally:
        test("scripts/down ends everything", down, ports)
    test("a port that is taken is named in one sentence", port_taken, ports)
    failed = results.count(False)
    state = "FAILED" if failed else "ok"
    print(f"\ntest result: {state}. {len(results) - failed} passed; {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
