#!/usr/bin/env python3
"""Limits over a fleet: two real Envoys with the shipped configurations, one rate limit service, a real Redis.

Together they admit what the service's limit says; with the service or Redis away, requests get what the
configuration says and never a 500, and log and statistics tell since when. Needs what `tools.fleet_python`
and `tools.redis_server` install. The last line is in the form that `cargo test` prints.
"""

import threading
import time
from collections import Counter

from answers import answers, refused_configuration
from parts import CONNECTIONS, GOLD, TRIAL, WORKERS, Gateway, away_from_the_boundary, limits_of, pair, redis, require, service, statuses
from rig import Results, eventually
from store import Store
from ways import PROCESSES, Direct, HandedOver

HOUR = 3_600
LIMIT = 300
# Of a second: so few that any machine reaches it. And how many seconds are looked at.
SHORT = 100
WINDOWS = 3
# What happens under each fallback.
OUTAGES = {
    "local": ["the service ended", "Redis ended", "the service hangs"],
    "deny": ["the service ended"],
    "allow": ["Redis ended"],
}


def together(way):
    """Two processes admit no more than one limit, however the requests are spread.

    In a long window not one more. In each of several short ones, of a limit without leases, no more than the
    limit and what was on its way.
    """
    limits = limits_of((LIMIT, "hour"), (SHORT, "second"))
    with redis() as store, service(store, limits) as it, pair(way.file, it, way.patient) as (one, two):
        away_from_the_boundary(20, HOUR)
        seen = statuses(one.load(400), two.load(400))
        require(sum(seen.values()) == 800 and set(seen) == {200, 429}, seen)
        # What lies in leases at the end, and what was left when the service refused one, is lost.
        require(LIMIT - carried(way.lease) - way.lease < seen[200] <= LIMIT, f"admitted of a limit of {LIMIT}:", seen)
        with Load(one, two, key=TRIAL) as load:
            load.during("a few windows", 2.5)
        passed = Counter()
        for gateway in (one, two):
            lost = sum(gateway.stats("ratelimit.error").values()) + gateway.total("fleet_fallbacks")
            require(not lost, f"{lost} requests without the service")
            records = [line["audit"][0] for line in gateway.lines() if line["status"] == 200]
            passed.update(it["time"][:19] for it in records if it["consumer"] == "trial")
        total, most = passed.total(), max(passed.values())
        under_way = PROCESSES * CONNECTIONS
        require(total <= SHORT * len(passed) and most <= SHORT + under_way, passed)
        # Otherwise it says nothing.
        require(most >= SHORT - under_way, "the load never met the limit:", passed)
        return f"{seen[200]} of {LIMIT} in an hour; {total} in {len(passed)} seconds of {SHORT}, at most {most} in one"


def carried(lease):
    """What leases can carry into a window: of each one hit was spent when it was taken."""
    return (lease - 1) * WORKERS * PROCESSES


def short_windows(way):
    """In each window no more is admitted than the limit, and what leases carried into it.

    A few requests late in one second take leases, and the load of the next one spends them. Nothing is on its way
    where one second ends. The first come when nobody remembers the refusals of the last load.
    """
    said = []
    limits = limits_of((SHORT, "second"), (SHORT, "second"))
    with redis() as store, service(store, limits) as it, pair(way.file, it, way.patient) as gateways:
        for lease, key in {way.lease: GOLD, 1: TRIAL}.items():
            most, seen = SHORT + carried(lease), []
            for _ in range(20):
                few, many = admitted(gateways, key, 0.7, CONNECTIONS), admitted(gateways, key, 0.02, most)
                if few is not None and many is not None:
                    seen.append(many)
                if len(seen) == WINDOWS:
                    break
            require(len(seen) == WINDOWS, "too slow: loads do not end in the second in which they began:", seen)
            require(max(seen) <= most, f"admitted of a limit of {SHORT} with leases of {lease}:", seen)
            # Otherwise it says nothing.
            require(max(seen) > SHORT or lease == 1 and min(seen) == SHORT, f"leases of {lease} carried nothing:", seen)
            said.append(f"leases of {lease}: {seen} of at most {most}")
        for gateway in gateways:
            lost = sum(gateway.stats("ratelimit.error").values()) + gateway.total("fleet_fallbacks")
            require(not lost, f"{lost} requests without the service")
    return "; ".join(said)


def admitted(gateways, key, begin, count):
    """How many of so many requests on each gateway, from that part of the next second on; None unless all ended in it."""
    time.sleep(1 - time.time() % 1 + begin)
    second = int(time.time())
    seen = statuses(*[it.load(count, key) for it in gateways])
    return seen.get(200, 0) if int(time.time()) == second else None


def as_told(way):
    """What is limited is who calls, by the plan, at the route's cost; whatever a caller says of itself."""
    limits = limits_of((20, "hour"), (10, "hour"))
    with redis() as store, service(store, limits) as it, Gateway(way.file, it, way.patient) as gateway:
        away_from_the_boundary(20, HOUR)
        asked = Store(store.port)
        boast = {"x-portcullis-consumer": "trial", "wasm.portcullis.consumer": "trial", "wasm.portcullis.plan": "nobodys",
                 "envoy.ratelimit.hits-addend": "0", "x-envoy-ratelimited": "false"}
        for path, key in (("/public", None), ("/v1/orders", "x-api-key: guess"), ("/v1/orders", None)):
            gateway.ask(path, key, **boast)
        require(asked.run([("DBSIZE",)]) == [0], "a caller that nobody knows was counted")
        counted = 'portcullis_decisions{gateway="fleet",outcome="allowed",reason="none",route="public"}'
        require(eventually(lambda: gateway.labelled(counted) == "1", 3), counted, gateway.stats("portcullis"))
        # The last two of ten are less than the export costs.
        before = time.time()
        seen = [gateway.ask(path, TRIAL, **boast).status for path in ["/v1/export", "/v1/orders", "/v1/orders", "/v1/orders", "/v1/export"]]
        require(seen == [200, 200, 200, 200, 429], "10 of trial:", seen)
        require(asked.run([("DBSIZE",)]) == [1], "trial alone was counted")
        require(gateway.ask("/v1/orders", GOLD, **boast).status == 200, "gold has a limit of its own")
        told = retry_after(gateway.ask("/v1/export", TRIAL, **boast))
        require(left(time.time()) <= told <= left(before), f"Retry-After: {told} with {left(before)} s left")
        return f"Retry-After: {told}"


def untold(way):
    """A service that refuses and does not say until when: then it is a second."""
    limits = limits_of((20, "hour"), (1, "hour"))
    with redis() as store, service(store, limits, "--terse") as it, Gateway(way.file, it, way.patient) as gateway:
        away_from_the_boundary(20, HOUR)
        require(gateway.ask("/v1/orders", TRIAL).status == 200, "the first of trial")
        told = [retry_after(gateway.ask("/v1/orders", TRIAL)) for _ in range(3)]
        require(told == [1, 1, 1], "Retry-After:", told)


def retry_after(answer):
    """What a refusal says, exactly once."""
    lines = answer.headers.get_all("retry-after")
    require(answer.status == 429 and lines and len(lines) == 1, answer.status, answer.headers)
    return int(lines[0])


def left(now):
    """How many seconds of the service's hour."""
    return HOUR - int(now) % HOUR


class Load:
    """Requests on some gateways, far above any limit here, counted by what the test does meanwhile."""

    def __init__(self, *gateways, key=GOLD):
        self.gateways, self.key, self.seen, self.phase, self.turns = gateways, key, {}, None, Counter()
        self.stopped, self.lock, self.fault = threading.Event(), threading.Lock(), None
        self.threads = [threading.Thread(target=self.run, args=(it,)) for it in gateways]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def run(self, gateway):
        while not self.stopped.is_set():
            phase = self.phase
            try:
                seen = statuses(gateway.load(40, self.key))
            except Exception as fault:  # the test asks for it
                self.fault = fault
                return
            with self.lock:
                # What began before a change says nothing of it.
                place = phase if phase == self.phase else f"until {self.phase}"
                self.seen.setdefault(place, Counter()).update(seen)
                self.turns[gateway] += 1
            time.sleep(0.02)

    def during(self, phase, seconds=0.6):
        """What is answered to loads that begin and end within the next so many seconds."""
        self.phase = phase
        before, end = dict(self.turns), time.monotonic() + seconds
        enough = lambda: self.fault or time.monotonic() > end and all(
            self.turns[it] >= before.get(it, 0) + 2 for it in self.gateways)
        require(eventually(enough, 30) and not self.fault, phase, "the load stands still:", self.fault)
        with self.lock:
            return self.seen[phase]


def outages(way, fallback):
    """The service and Redis end, hang and come back under load: no 500, and the fallback that was asked for."""
    change = lambda parts: way.prepare(parts, fallback)
    passing = 503 if fallback == "deny" else 200
    limits = limits_of((20, "day"), (20, "day"))
    with redis() as store, service(store, limits) as it, pair(way.file, it, change) as (one, two):
        away_from_the_boundary(30, 24 * HOUR)
        with Load(one, two) as load:
            load.during("the beginning")
            outage = {
                "the service ended": (it.end, it.start),
                "Redis ended": (store.end, store.start),
                "the service hangs": (it.pause, it.go_on),
            }
            for name in OUTAGES[fallback]:
                away, back = outage[name]
                since = time.monotonic()
                away()
                # At first a worker may go by what it has heard before.
                seen = load.during(name)
                require(seen[passing] or eventually(lambda: load.during(name)[passing], 5), name, seen)
                seconds = time.monotonic() - since
                require(set(seen) <= {passing, 429}, name, seen)
                if fallback == "local":
                    require(seen[200] <= way.most(seconds), name, f"{seen[200]} admitted in {seconds:.1f} s")
                require(way.is_on(one) and way.is_on(two), name, "nothing tells that the service is away")
                back()
                require(way.is_off(one) and way.is_off(two), name, "and is back, which nothing tells")
                # The limit was reached before, and nobody forgot it. A busy machine may need a moment.
                calm = (set(load.during(f"{name}, and is back, {number}")) == {429} for number in range(15))
                require(any(calm), f"{name}, and is back:", load.seen)
                later = load.during(f"{name}, and is back for good")
                require(set(later) == {429}, f"{name}, and is back for good:", later)
        total = sum(load.seen.values(), Counter())
        require(set(total) <= {200, 429, passing} and total[200], total)
        met = [way.told(gateway, fallback) for gateway in (one, two)]
        one.no_trap()
        two.no_trap()
        return f"{dict(total)}; {sum(met)} requests met an outage"


def main():
    results = Results()
    results.test("the service answers as envoyproxy/ratelimit does", answers)
    results.test("the service refuses a configuration that it does not understand", refused_configuration)
    for way in (HandedOver(), Direct()):
        results.test(f"{way.name}: two Envoys admit one limit together", together, way)
        results.test(f"{way.name}: no more in a short window than the limit and leases", short_windows, way)
        results.test(f"{way.name}: who is limited, and by what", as_told, way)
        results.test(f"{way.name}: refused, and not told until when", untold, way)
        for fallback in ("local", "deny", "allow"):
            results.test(f"{way.name}: outages under load, {fallback}", outages, way, fallback)
    results.end()


if __name__ == "__main__":
    main()
