#!/usr/bin/env python3
"""Keys rotate under load, before a real Envoy with four workers: no valid request fails at any moment.

Then tokens with 10,000 random key ids beside the valid load: the issuer is asked at most once in each
cool-down. Prints what it saw; the last line is in the form that `cargo test` prints.
"""

import json
import secrets
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import rig
from es256 import text
from idp import Idp
from rig import Gateway, Results, eventually, require

WORKERS = 4
COOLDOWN = 2.0
REFRESH = 4.0
RANDOM, CONNECTIONS = 10_000, 1_000


class Load:
    """Two load generators in turn, with no pause between them, on the tokens that are now in use."""

    def __init__(self, gateway, folder, tokens):
        self.gateway, self.folder = gateway, Path(folder)
        self.statuses, self.broken, self.slowest = Counter(), 0, 0
        self.stopped, self.lock, self.turns = threading.Event(), threading.Lock(), Counter()
        self.number = 0
        self.use(tokens)
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def use(self, tokens):
        """The tokens of every run from now on."""
        self.number += 1
        lines = self.folder / f"tokens-{self.number}"
        lines.write_text("\n".join(tokens))
        self.lines = lines

    def run(self, number):
        while not self.stopped.is_set():
            process = rig.start_load(self.gateway, "/tokens", 400, ["authorization: Bearer {line}"], 4, self.lines)
            answer = json.loads(process.communicate(timeout=60)[0])
            with self.lock:
                self.statuses.update({int(code): count for code, count in answer["statuses"].items()})
                self.broken += answer["broken"]
                self.slowest = max(self.slowest, answer["max_us"] / 1e6)
                self.turns[number] += 1

    def move(self, tokens):
        """Takes other tokens, and waits until no request with the ones before is on its way."""
        self.use(tokens)
        before = dict(self.turns)
        require(eventually(lambda: all(self.turns[it] >= before.get(it, 0) + 2 for it in range(2)), 30), "the load stands still")

    def all_passed(self):
        with self.lock:
            bad = {code: count for code, count in self.statuses.items() if code != 200}
            require(not bad and not self.broken, f"of {self.statuses.total()} valid requests failed: {bad}, broken {self.broken}")
            return f"{self.statuses.total()} valid requests, 0 failed, the slowest {self.slowest * 1e3:.0f} ms"


def rotations(gateway, issuer, load):
    """The issuer signs with a new key the moment that it has it, and removes the old one."""
    since, seen, count = time.monotonic(), issuer.count(), 0
    while count < 3:
        old = issuer.token("app", ["orders:read"])
        issuer.keys.add()
        issuer.keys.sign()
        load.move(fresh(issuer))
        issuer.keys.remove()
        count += 1
        gone = eventually(lambda: gateway.ask("/tokens", old).status == 401, REFRESH + 3)
        require(gone, f"a token of a removed key works after {REFRESH + 3} s")
        # The next new key is not met within the cool-down of the last fetch.
        time.sleep(COOLDOWN + 0.5)
    return f"{count} rotations, {load.all_passed()}, {fetches(issuer, seen, since)}"


def random_kids(gateway, issuer, load, folder):
    """10,000 tokens with random key ids, beside the valid load and one more rotation.

    Each waits for the next fetch, so there are many at once.
    """
    lines = Path(folder, "random")
    lines.write_text("\n".join(forged(issuer) for _ in range(RANDOM)))
    since, seen = time.monotonic(), issuer.count()
    flood = rig.start_load(gateway, "/tokens", RANDOM, ["authorization: Bearer {line}"], CONNECTIONS, lines)
    time.sleep(COOLDOWN / 2)
    issuer.keys.add()
    issuer.keys.sign()
    load.move(fresh(issuer))
    issuer.keys.remove()
    answer = json.loads(flood.communicate(timeout=80)[0])
    seconds = time.monotonic() - since
    require(answer["statuses"] == {"401": RANDOM} and not answer["broken"], "the flood was answered", answer)
    asked, most = issuer.count() - seen, int(seconds / COOLDOWN) + 1
    require(2 <= asked <= most, f"{asked} fetches in {seconds:.1f} s, allowed {most}")
    return (f"{RANDOM} random key ids in {seconds:.1f} s, answers {answer['statuses']}; {load.all_passed()}; "
            f"{fetches(issuer, seen, since)}")


def fetches(issuer, seen, since):
    times = [at for _, at, _ in issuer.fetches]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    least = min(gaps, default=COOLDOWN)
    require(least >= COOLDOWN * 0.9, f"two fetches within {least:.2f} s, the cool-down is {COOLDOWN} s")
    return f"{issuer.count() - seen} fetches in {time.monotonic() - since:.1f} s, at least {least:.1f} s apart"


def fresh(issuer):
    return [issuer.token("app", ["orders:read"]) for _ in range(20)]


def forged(issuer):
    """A token that is good in all but its key."""
    now = int(time.time())
    header = {"alg": "ES256", "typ": "at+jwt", "kid": secrets.token_urlsafe(16)}
    claims = {"iss": issuer.name, "aud": "orders-api", "sub": "app", "client_id": "app", "scope": "orders:read",
              "iat": now, "exp": now + 300, "jti": secrets.token_urlsafe(8)}
    parts = [text(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join([*parts, text(secrets.token_bytes(64))])


def main():
    rig.build_load()
    results = Results()
    with tempfile.TemporaryDirectory() as folder, Idp() as issuer:
        keys = issuer.policy(refresh=f"{REFRESH:.0f}s", cooldown=f"{COOLDOWN:.0f}s", timeout="2s")
        with Gateway(rig.policy([keys]), {"idp": issuer.server_port}, WORKERS, direct=True) as gateway:
            with Load(gateway, folder, fresh(issuer)) as load:
                results.test("keys rotate under load", rotations, gateway, issuer, load)
                results.test("10,000 random key ids beside it", random_kids, gateway, issuer, load, folder)
            results.test("no trap", gateway.no_trap)
    results.end()


if __name__ == "__main__":
    main()
