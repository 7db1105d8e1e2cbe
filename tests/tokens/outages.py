#!/usr/bin/env python3
"""An identity provider that is ill, before a real Envoy: tests named by the rows of the list of attacks.

Whatever it answers, a good token is never refused with 401, nothing else waits for it, and the filter
stays up. The last line is in the form that `cargo test` prints.
"""

import asyncio
import contextlib
import json
import socket
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import idp
import rig
import trap
from idp import Idp
from rig import API_KEY, Gateway, Results, eventually, free_port, require


SOON = 1.0  # seconds: far below what a request waits for keys, far above what it takes


def others_go_on(gateway, about):
    """What needs no token does not wait for keys."""
    for answer in (gateway.ask("/public"), gateway.ask("/keys", key=API_KEY), gateway.ask("/either", key=API_KEY)):
        answer.must_be(200, about=about)
        require(answer.seconds < SOON, about, f"a request without a token took {answer.seconds:.1f} s")
    gateway.ask("/tokens").must_be(401, "credential_missing", about)


def unavailable(gateway, token, about, seconds=3.5):
    """503, at the latest after cool-down and timeout, and never 401."""
    answer = gateway.ask("/tokens", token).must_be(503, "keys_unavailable", about)
    require(answer.seconds < seconds, about, f"503 after {answer.seconds:.1f} s")
    require("www-authenticate" not in answer.headers, about, "a challenge on 503")


def down_at_start():
    """S01"""
    port = free_port()
    with Idp() as elsewhere, Gateway(rig.policy([elsewhere.policy()]), {"idp": port}) as gateway:
        for _ in range(3):
            unavailable(gateway, elsewhere.good(), "down at start:")
            others_go_on(gateway, "down at start:")
        with Idp(port=port) as back:
            recovers(gateway, back)
        gateway.no_trap()


def recovers(gateway, issuer, about=""):
    """The next fetch that succeeds is enough."""
    require(eventually(lambda: gateway.ask("/tokens", issuer.good()).status == 200, 8), about, "no recovery")


def ill(kinds):
    """S02, S03, S05: one issuer for each illness. Without keys it is 503, with keys they stay in use."""
    with contextlib.ExitStack() as stack:
        patients = [stack.enter_context(Idp(f"https://{n}.example", illness=kind)) for n, kind in enumerate(kinds.values())]
        issuers = [it.policy(f"issuer-{n}", cluster=f"idp-{n}") for n, it in enumerate(patients)]
        clusters = {f"idp-{n}": it.server_port for n, it in enumerate(patients)}
        gateway = stack.enter_context(Gateway(rig.policy(issuers), clusters))
        asking = stack.enter_context(ThreadPoolExecutor(len(patients)))

        def each(part):
            list(asking.map(part, kinds, patients))

        def without_keys(name, patient):
            for _ in range(2):
                unavailable(gateway, patient.good(), f"{name}, no keys:")
            require(patient.count() >= 2, name, "is not fetched again")

        def falls_ill_again(name, patient):
            patient.illness, seen = kinds[name], patient.count()
            require(eventually(lambda: patient.count() >= seen + 3, 15), name, "is not fetched again")

        def with_keys(name, patient):
            answer = gateway.ask("/tokens", patient.good()).must_be(200, about=f"{name}, old keys:")
            require(answer.seconds < SOON, name, f"a good token waited for {answer.seconds:.1f} s")

        def healed(name, patient):
            patient.illness = None
            recovers(gateway, patient, name)
            patient.keys.add()
            patient.keys.sign()
            recovers(gateway, patient, f"{name}, with a new key:")

        each(without_keys)
        others_go_on(gateway, "no keys:")
        each(healed)
        each(falls_ill_again)
        each(with_keys)
        others_go_on(gateway, "old keys:")
        each(healed)
        gateway.no_trap()


def redirected():
    """S04"""
    with Idp() as attacker, Idp() as issuer:
        issuer.illness = idp.redirect(f"http://127.0.0.1:{attacker.server_port}/jwks.json")
        clusters = {"idp": issuer.server_port, "attacker": attacker.server_port}
        with Gateway(rig.policy([issuer.policy()]), clusters) as gateway:
            gateway.ask("/tokens", issuer.good())
            require(eventually(lambda: issuer.count() >= 2, 8), "is not fetched again")
            forged = attacker.token("app", ["orders:read"])
            unavailable(gateway, forged, "302:")
            unavailable(gateway, issuer.good(), "302:")
            require(attacker.count() == 0, "the redirect was followed")
            issuer.illness = None
            recovers(gateway, issuer, "302")
            gateway.ask("/tokens", forged).must_be(401, "token_key_unknown")
            gateway.no_trap()


def fetched_as_stated():
    """What the filter sends for: no compression, nothing of a caller, and the tag of what it has."""
    with Idp() as issuer, Gateway(rig.policy([issuer.policy()]), {"idp": issuer.server_port}) as gateway:
        gateway.ask("/tokens", issuer.good()).must_be(200)
        require(eventually(lambda: issuer.counters["not_modified"] >= 2, 8), "the ETag is not sent back")
        gateway.ask("/tokens", issuer.good()).must_be(200, about="after 304:")
        for path, _, headers in issuer.fetches:
            names = {name.lower(): value for name, value in headers.items()}
            require(path == "/jwks.json" and names["host"] == "id.test.example", path, names)
            require(names.get("accept-encoding", "identity") == "identity", names)
            require("authorization" not in names and "cookie" not in names, names)


def waiting():
    """S12: 1,000 requests that stay, and 200 whose callers go away meanwhile."""
    async def one(port, token, goes_away):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /tokens HTTP/1.1\r\nhost: a.example\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        writer.write(request.encode())
        try:
            if goes_away:
                await writer.drain()
                return await asyncio.sleep(0.3)
            return int((await asyncio.wait_for(reader.read(), 20)).split(b" ", 2)[1])
        finally:
            writer.close()

    async def all_of(port, tokens):
        return await asyncio.gather(*(one(port, token, number % 6 == 5) for number, token in enumerate(tokens)))

    with Idp(illness=idp.late(1.5)) as issuer:
        tokens = [issuer.good() for _ in range(200)] * 6
        slow_but_good = issuer.policy(timeout="5s", refresh="1m", cooldown="30s")
        with Gateway(rig.policy([slow_but_good]), {"idp": issuer.server_port}, workers=4, direct=True) as gateway:
            statuses = Counter(asyncio.run(all_of(gateway.port, tokens)))
            require(issuer.count() == 1, f"{issuer.count()} fetches")
            require(set(statuses) == {200, None} and statuses[200] == 1000, statuses)
            gateway.ask("/tokens", issuer.good()).must_be(200)
            require(eventually(lambda: gateway.total("requests_waiting") == 0, 5), gateway.total("requests_waiting"), "wait for ever")
            # Counted a second later at most; whoever went away may be counted or not.
            require(eventually(lambda: gateway.total("decisions") >= 1001, 5), gateway.total("decisions"), "decisions of 1,001 answers")
            require(gateway.total("decisions") <= 1201, gateway.total("decisions"), "decisions of 1,001 answers")
            gateway.no_trap()
            return f"{statuses[200]} waited and passed, {statuses[None]} went away, {issuer.count()} fetch"


def waiting_body():
    """A request that waits keeps its body, also one that is larger than Envoy's buffers."""
    with Idp(illness=idp.late(1)) as issuer:
        slow_but_good = issuer.policy(timeout="5s", refresh="1m", cooldown="30s")
        with Gateway(rig.policy([slow_but_good]), {"idp": issuer.server_port}) as gateway:
            answer = gateway.ask("/tokens", issuer.good(), body=b"x" * 1_000_000).must_be(200)
            require(json.loads(answer.body)["body_bytes"] == 1_000_000, answer.body)
            require(answer.seconds > 0.3, "it did not wait")
            gateway.no_trap()


def too_old():
    """S14"""
    with Idp() as issuer:
        keys = issuer.policy(refresh="1s", max_stale="4s")
        with Gateway(rig.policy([keys]), {"idp": issuer.server_port}) as gateway:
            held = issuer.good()
            gateway.ask("/tokens", held).must_be(200)
            issuer.illness, since = idp.status(500), time.monotonic()
            while time.monotonic() < since + 2.5:
                gateway.ask("/tokens", held).must_be(200, about="not yet too old:")
            require(eventually(lambda: gateway.ask("/tokens", held).status == 503, 6), "never too old")
            passed = time.monotonic() - since
            unavailable(gateway, held, "too old:")
            others_go_on(gateway, "too old:")
            issuer.illness = None
            recovers(gateway, issuer)
            gateway.ask("/tokens", held).must_be(200)
            gateway.no_trap()
            return f"503 from {passed:.1f} s on"


def two_issuers():
    """S17"""
    nobody = free_port()
    with Idp("https://one.example") as one, Idp("https://two.example") as two:
        issuers = [one.policy("one"), two.policy("two", cluster="two")]
        with Gateway(rig.policy(issuers), {"idp": one.server_port, "two": nobody}) as gateway:
            for _ in range(2):
                answer = gateway.ask("/tokens", one.good()).must_be(200)
                require(answer.seconds < SOON, "a token of one issuer waits for the other", answer.seconds)
                unavailable(gateway, two.good(), "the unreachable one:")
            # A token that names the issuer that is up, signed with a key of the other: never across.
            crossed = two.token("app", ["orders:read"], iss=one.name)
            gateway.ask("/tokens", crossed).must_be(401, "token_key_unknown")
            gateway.no_trap()


def late_worker():
    """A configuration loaded late, with the provider away, has the keys that its process has."""
    with contextlib.ExitStack() as stack:
        issuer = stack.enter_context(Idp())
        keys = issuer.policy(refresh="1m")
        gateway = stack.enter_context(Gateway(rig.policy([keys]), {"idp": issuer.server_port}))
        held = issuer.good()
        gateway.ask("/tokens", held).must_be(200)
        issuer.illness = idp.status(500)
        seen = issuer.count()
        for realm in ("second", "third"):
            gateway.replace(rig.policy([keys], realm=realm))
            for _ in range(8):
                gateway.ask("/tokens", held).must_be(200, about=f"{realm} configuration:")
        require(seen == 1, f"{seen} fetches by one process before the first minute")
        gateway.no_trap()
        return f"{issuer.count() - seen} fetches by two more configurations"


def after_a_trap():
    """A worker that starts again after a trap, with the provider away, takes the keys from its process."""
    with Idp() as issuer, tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "trapping.wasm")
        module.write_bytes(trap.trapping(Path(rig.MODULE).read_bytes(), "proxy_on_request_trailers"))
        keys = issuer.policy(refresh="1m")
        with Gateway(rig.policy([keys]), {"idp": issuer.server_port}, module=module) as gateway:
            held = issuer.good()
            gateway.ask("/tokens", held).must_be(200)
            issuer.illness = idp.status(500)
            for _ in range(8):
                with_trailers(gateway, held)
                time.sleep(0.1)
            traps = gateway.log().count("unreachable")
            require(traps >= 2, f"{traps} traps:", gateway.log()[-2000:])
            # Envoy starts a VM again at most once a second for each worker.
            passed = eventually(lambda: all(gateway.ask("/tokens", held).status == 200 for _ in range(8)), 15, 0.5)
            require(passed, "no keys after a trap:", gateway.log()[-2000:])
            return f"{traps} traps, {issuer.count()} fetches"


def with_trailers(gateway, token):
    """A request whose trailers bring the worker's VM down."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as caller:
        caller.sendall((
            f"GET /tokens HTTP/1.1\r\nhost: a.example\r\nauthorization: Bearer {token}\r\n"
            "transfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n0\r\nx-t: v\r\n\r\n").encode())
        with contextlib.suppress(OSError):
            caller.recv(65536)


def removed_key():
    """A key that the issuer removed stops within the refresh interval, cached tokens included."""
    with Idp() as issuer, Gateway(rig.policy([issuer.policy()]), {"idp": issuer.server_port}, workers=4) as gateway:
        held = issuer.good()
        for _ in range(20):
            gateway.ask("/tokens", held).must_be(200)
        issuer.keys.add()
        issuer.keys.sign()
        issuer.keys.remove()
        since = time.monotonic()
        time.sleep(2.5)  # the interval, a tick, and the time of a fetch
        for _ in range(20):
            gateway.ask("/tokens", held).must_be(401, "token_key_unknown", f"{time.monotonic() - since:.1f} s later:")
        gateway.ask("/tokens", issuer.good()).must_be(200)


def main():
    results = Results()
    results.test("S01 the issuer is down at start", down_at_start)
    results.test("S02 the issuer is slow", ill, idp.SLOW)
    results.test("S03 the issuer answers nonsense", ill, idp.NONSENSE)
    results.test("S04 the issuer redirects", redirected)
    results.test("S05 the issuer answers too much", ill, idp.HUGE)
    results.test("the key set is asked for as stated", fetched_as_stated)
    results.test("S12 1,000 requests wait for one fetch", waiting)
    results.test("a request that waits keeps its body", waiting_body)
    results.test("S14 the keys are too old", too_old)
    results.test("S17 one of two issuers is unreachable", two_issuers)
    results.test("a configuration that is loaded late has the keys", late_worker)
    results.test("a worker that trapped has the keys again", after_a_trap)
    results.test("a key that was removed stops within the refresh interval", removed_key)
    results.end()


if __name__ == "__main__":
    main()
