#!/usr/bin/env python3
"""A rate limit service for tests and the sandbox: `envoy.service.ratelimit.v3`, counting in Redis.

It reads the configuration file of envoyproxy/ratelimit and counts as that service does: fixed windows
that begin at multiples of their unit, and one more hit in a window than it holds is over the limit, the
refused hits counted all the same. Of that file it knows `domain`, nested `descriptors` with `key`,
`value` and `shadow_mode`, and `rate_limit` with `unit`, `requests_per_unit` and `unlimited`. Needs
grpcio and PyYAML, which tests/tools.py installs.
"""

import argparse
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import yaml

from messages import OK, OVER_LIMIT, SECONDS, Status, read_request, write_response
from store import Store, Unavailable

KNOWN = {"key", "value", "shadow_mode", "descriptors", "rate_limit"}
THREADS = 16


class Refused(Exception):
    """What is wrong with the configuration, or with a request."""


class Node:
    """A level of the configuration: the limit that ends here, and the levels below it."""

    def __init__(self, written, place):
        self.limit, self.shadow, self.below = None, bool(written.get("shadow_mode")), {}
        if "rate_limit" in written:
            self.limit = read_limit(written["rate_limit"], place)
        for child in written.get("descriptors") or []:
            if unknown := set(child) - KNOWN:
                raise Refused(f"{place}: `{unknown.pop()}` is not known here")
            if not child.get("key"):
                raise Refused(f"{place}: a descriptor without a key")
            value = child.get("value")
            name = (child["key"], None if value is None else str(value))
            if name in self.below:
                raise Refused(f"{place}: {name} stands there twice")
            self.below[name] = Node(child, f"{place}.{child['key']}")

    def find(self, entries):
        """The level of a descriptor: at each step the one with its value, or else the one without any."""
        node = self
        for key, value in entries:
            node = node and (node.below.get((key, value)) or node.below.get((key, None)))
        return node


def read_limit(written, place):
    """(requests, unit), or None where it is unlimited."""
    if unknown := set(written) - {"unit", "requests_per_unit", "unlimited"}:
        raise Refused(f"{place}: `{unknown.pop()}` is not known here")
    if written.get("unlimited"):
        return None
    unit, requests = str(written.get("unit", "")).lower(), written.get("requests_per_unit", 0)
    if unit not in SECONDS or not isinstance(requests, int):
        raise Refused(f"{place}: a rate limit has a unit and requests_per_unit")
    return requests, unit


class Service:
    def __init__(self, written, store, is_terse=False):
        if unknown := set(written) - {"domain", "descriptors"}:
            raise Refused(f"`{unknown.pop()}` is not known here")
        self.domain, self.root, self.store = written.get("domain"), Node(written, "descriptors"), store
        self.is_terse = is_terse
        if not self.domain:
            raise Refused("the domain is missing")

    def should_rate_limit(self, data, context):
        try:
            request = read_request(data)
            if not request.domain or not request.descriptors:
                raise Refused("a request has a domain and a descriptor")
            statuses = self.judge(request, int(time.time()))
        except (Refused, Unavailable, ValueError, IndexError) as error:
            # As an error of the service in Go arrives.
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        is_over = any(status.code == OVER_LIMIT for status in statuses)
        return write_response(OVER_LIMIT if is_over else OK, [] if self.is_terse else statuses)

    def judge(self, request, now):
        found = [self.root.find(it.entries) if request.domain == self.domain else None for it in request.descriptors]
        counted = [(node, it) for node, it in zip(found, request.descriptors) if node and node.limit]
        sums = iter(self.store.count([self.window(request, node, it, now) for node, it in counted]))
        return [status(node, next(sums), now) if node and node.limit else Status(OK) for node in found]

    def window(self, request, node, descriptor, now):
        seconds = SECONDS[node.limit[1]]
        words = [self.domain, *(word for entry in descriptor.entries for word in entry), str(now - now % seconds)]
        hits = request.hits if descriptor.hits is None else descriptor.hits
        return "_".join(words), max(hits, 1), seconds


def status(node, counted, now):
    requests, unit = node.limit
    reset = SECONDS[unit] - now % SECONDS[unit]
    if counted > requests:
        return Status(OK if node.shadow else OVER_LIMIT, node.limit, 0, reset)
    return Status(OK, node.limit, requests - counted, reset)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="file in the form of envoyproxy/ratelimit")
    parser.add_argument("--port", type=int, default=8081, help="where to listen, on loopback (default: 8081)")
    parser.add_argument("--redis-port", type=int, default=6379, help="where Redis listens, on loopback (default: 6379)")
    parser.add_argument("--terse", action="store_true", help="answer without the state of each limit, as Limitador does")
    options = parser.parse_args()
    try:
        service = Service(yaml.safe_load(options.config.read_text()), Store(options.redis_port), options.terse)
    except (Refused, yaml.YAMLError, OSError) as error:
        sys.exit(f"{options.config}: {error}")
    # A port that is taken is an error, also where its holder would share it.
    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(service.should_rate_limit)
    name = "envoy.service.ratelimit.v3.RateLimitService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, {"ShouldRateLimit": handler})])
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    print(f"listening on 127.0.0.1:{options.port}", flush=True)
    for end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(end, lambda *_: server.stop(0))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
