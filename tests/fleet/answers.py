"""The tests' rate limit service by itself: it answers and counts as envoyproxy/ratelimit does."""

import subprocess
import sys
import tempfile

import grpc

from messages import OK, OVER_LIMIT, Descriptor, Request, read_response, write_request
from parts import ROOT, away_from_the_boundary, redis, require, service

LIMITS = {"domain": "tests", "descriptors": [
    {"key": "consumer", "rate_limit": {"unit": "hour", "requests_per_unit": 3}},
    {"key": "consumer", "value": "big", "rate_limit": {"unit": "hour", "requests_per_unit": 5}},
    {"key": "consumer", "value": "free", "rate_limit": {"unlimited": True}},
    {"key": "consumer", "value": "seen", "shadow_mode": True, "rate_limit": {"unit": "day", "requests_per_unit": 0}},
    {"key": "limit", "value": "a", "descriptors": [{"key": "consumer", "rate_limit": {"unit": "hour", "requests_per_unit": 1}}]},
]}


class Asker:
    def __init__(self, port):
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)])
        self.call = channel.unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")

    def ask(self, *descriptors, hits=0, domain="tests"):
        request = Request(domain, [Descriptor(list(entries)) for entries in descriptors], hits)
        return read_response(self.call(write_request(request), timeout=5))

    def code(self, *descriptors, **more):
        return self.ask(*descriptors, **more)[0]

    def fails(self, *descriptors, **more):
        try:
            return f"answered {self.ask(*descriptors, **more)}"
        except grpc.RpcError as error:
            return None if error.code() == grpc.StatusCode.UNKNOWN else error


def answers():
    one = lambda value: [("consumer", value)]
    away_from_the_boundary(10, 3_600)
    with redis() as store, service(store, LIMITS) as first, service(store, LIMITS) as second, \
            service(store, LIMITS, "--terse") as terse:
        here, there = Asker(first.port), Asker(second.port)
        code, (status,) = here.ask(one("x"))
        require((code, status[1], status[3]) == (OK, OK, 2) and 4 in status, "the first of three:", status)
        # Two services on one Redis have one count.
        require([it.code(one("x")) for it in (there, here, there)] == [OK, OK, OVER_LIMIT], "three of x")
        require(here.code(one("y")) == OK, "y has a count of its own")
        require([here.code(one("big"), hits=hits) for hits in (2, 3, 1)] == [OK, OK, OVER_LIMIT], "five of big")
        require(here.code(one("z"), hits=4) == OVER_LIMIT and here.code(one("z")) == OVER_LIMIT, "what is refused is counted")
        require({here.code(one("free")) for _ in range(9)} == {OK}, "unlimited")
        require({here.code(one("seen")) for _ in range(3)} == {OK}, "shadow mode")
        nested = [("limit", "a"), ("consumer", "x")]
        require([here.code(nested) for _ in range(2)] == [OK, OVER_LIMIT], "nested")
        for entries in ([("limit", "b"), ("consumer", "x")], [("limit", "a")], [*nested, ("route", "r")]):
            code, (status,) = here.ask(entries, hits=99)
            require(code == OK and 2 not in status, "no limit is meant:", entries)
        code, both = here.ask(one("free"), nested)
        require(code == OVER_LIMIT and [it[1] for it in both] == [OK, OVER_LIMIT], "one of two is over:", both)
        require(Asker(terse.port).ask(nested) == (OVER_LIMIT, []), "without statuses")
        require(here.code(one("x"), domain="other") == OK, "another domain")
        for fault in (here.fails(), here.fails(one("x"), domain="")):
            require(not fault, "not an error:", fault)
        store.end()
        require(not (fault := here.fails(one("y"))), "Redis is away:", fault)
        store.start()
        # The first call may meet the connection that ended.
        here.fails(one("y"))
        require(here.code(one("x")) == OVER_LIMIT, "what was counted is still there")


def refused_configuration():
    for text, why in [
        ("domain: tests\ndescriptors: [{key: a, rate_limits: {}}]", "`rate_limits` is not known"),
        ("domain: tests\ndescriptors: [{key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}]", "has a unit"),
        ("domain: tests\ndescriptors: [{key: a}, {key: a}]", "twice"),
        ("descriptors: []", "domain is missing"),
    ]:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            command = [sys.executable, "-B", ROOT / "tests/fleet/service.py", "--config", file.name, "--port", "1"]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
        require(ended.returncode == 1 and why in ended.stderr and "Traceback" not in ended.stderr, text, ended.stderr)
