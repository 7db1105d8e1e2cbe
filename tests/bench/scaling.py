"""What the size of a policy costs, for Portcullis alone: each request, loading, memory; and what any start costs."""

import contextlib
import json
import statistics

import chains
import tokens
from gateway import Gateway, Trouble
from measure import above, interval, medians, one_round, ratio, take_turns

KEYS_OF_A_CONSUMER = 10
TAKE_TURNS = 10_000  # most distinct keys: too many for the processor's caches
STARTS = 3  # of each kind, where starting is what is measured
GOAL = 1.2  # the largest policy to the smallest


class Scale:
    """A part of the policy that grows while all others stay as they are. Callers show keys."""

    path = "/v1/resource-0/7"

    def __init__(self, name, sizes, bound=""):
        self.name, self.sizes, self.bound = name, sizes, bound

    def prepare(self, options):
        pass

    def environment(self):
        return {}

    def policy(self, size):
        return policy(**{self.name: size})

    def headers(self, line="{line}"):
        return [f"x-api-key: {line}"]

    def sample(self):
        """Path and header lines of one good request."""
        return self.path.format(line=0), self.headers(chains.key(0))

    def lines(self, size):
        """The file of what takes turns."""
        return self.keys(10)

    def keys(self, count):
        return tokens.lines(f"keys-{count}", map(chains.key, range(0, count, max(1, count // TAKE_TURNS))))


class Keys(Scale):
    def lines(self, size):
        return self.keys(size)


class Routes(Scale):
    """Each request asks for the next one. The first round, which does not count, asks for all that are asked for later:
    a route's counter is made when it is first needed."""

    path = "/v1/resource-{line}/7"

    def prepare(self, options):
        self.most = options.requests

    def headers(self, line="{line}"):
        return [f"x-api-key: {chains.key(0)}"]

    def lines(self, size):
        return tokens.lines(f"routes-{size}", map(str, range(0, size, -(-size // self.most))))


class Issuers(Scale):
    """Tokens of the one in the middle; none is seen twice, so that each looks for its issuer."""

    def prepare(self, options):
        self.tokens = tokens.mint("HS256", (options.rounds + 1) * options.requests)

    def environment(self):
        return {chains.SECRET_VARIABLE: self.tokens.secret()}

    def headers(self, line="{line}"):
        return [f"authorization: Bearer {line}"]

    def sample(self):
        good, _, _ = self.tokens.samples()
        return self.path, self.headers(good)

    def lines(self, size):
        return self.tokens.path


class Roles(Scale):
    """Every one is the role of one of 1,000 consumers, who have the same scopes in all sizes."""

    def policy(self, size):
        return policy(keys=1_000, keys_of_a_consumer=1, roles=size)

    def lines(self, size):
        return self.keys(1_000)


SCALES = [
    Keys("keys", (10, 1_000, 100_000)),
    Scale("ranges", (10, 1_000, 100_000)),
    Routes("routes", (10, 1_000, 5_000)),
    Issuers("issuers", (1, 10, 64), bound="a policy has 64 at most"),
    Roles("roles", (10, 1_000, 65_536), bound="a policy has 65,536 at most"),
]


def policy(keys=10, keys_of_a_consumer=KEYS_OF_A_CONSUMER, ranges=10, routes=10, issuers=0, roles=1):
    consumers = range(0, keys, keys_of_a_consumer)
    document = {
        "version": 1,
        "gateway": "bench",
        "realm": "bench",
        "networks": {"blocked": {"cidrs": chains.cidrs(chains.ADDRESSES[1], ranges)}},
        "deny": ["blocked"],
        "identity_headers": {"consumer": "x-client"},
        "roles": {f"role-{number}": [chains.SCOPE, f"area-{number % 10}:read"] for number in range(roles)},
        "consumers": [
            {"name": chains.client(number),
             "roles": [f"role-{role}" for role in range(number % roles, roles, len(consumers))],
             "api_keys": [chains.api_key(one) for one in range(first, min(first + keys_of_a_consumer, keys))]}
            for number, first in enumerate(consumers)
        ],
        "routes": [
            {"name": f"route-{number}", "paths": [f"/v1/resource-{number}/{{id}}"], "methods": ["GET"],
             "credentials": ["api_key", "jwt"] if issuers else ["api_key"], "scopes": {"all_of": [chains.SCOPE]}}
            for number in range(routes)
        ],
    }
    if issuers:
        addresses = [f"https://id-{number}.example.com" for number in range(issuers)]
        addresses[issuers // 2] = chains.ISSUER
        secret = {"secrets": [chains.SECRET_VARIABLE]}
        document["jwt"] = {"cache_tokens": chains.CACHED_TOKENS}
        document["issuers"] = [
            chains.issuer(f"issuer-{number}", address, "HS256", secret) for number, address in enumerate(addresses)]
    return document


# --- measuring ---


def measure(scale, options):
    """Starts one gateway for each size, one after the other, and has their rounds take turns."""
    scale.prepare(options)
    with contextlib.ExitStack() as stack:
        started = {"no filter": stack.enter_context(begun(options, scale))}
        starts, files = {}, {"no filter": scale.lines(scale.sizes[0])}
        for size in scale.sizes:
            name, document = f"{size:,}", scale.policy(size)
            started[name] = stack.enter_context(begun(options, scale, document))
            starts[name], files[name] = after_start(started[name], document), scale.lines(size)
        rounds = take_turns(started, options, lambda name, turn: one_round(
            started[name], turn, options, headers=scale.headers(), lines=files[name], path=scale.path))
        for name, start in starts.items():
            start["rss_after_mb"] = started[name].memory()
    smallest, *_, largest = starts
    return report(scale.name, rounds, above(rounds, "no filter"), starts, smallest, largest) | {"bound": scale.bound, "goal": GOAL}


def measure_workers(options):
    """One worker and two, on both cores: what each adds to Envoy without a filter and as many workers."""
    scale, started, starts, added = SCALES[0], {}, {}, {}
    with contextlib.ExitStack() as stack:
        for workers in (1, 2):
            name, document = count(workers), scale.policy(1_000)
            started[f"no filter, {name}"] = stack.enter_context(begun(options, scale, workers=workers, cores=options.cores))
            started[name] = stack.enter_context(begun(options, scale, document, workers, options.cores))
            starts[name] = after_start(started[name], document)
        rounds = take_turns(started, options, lambda name, turn: one_round(
            started[name], turn, options, headers=scale.headers(), lines=scale.keys(1_000), path=scale.path))
        for name, start in starts.items():
            start["rss_after_mb"] = started[name].memory()
    for name in starts:
        base = f"no filter, {name}"
        added |= above({base: rounds[base], name: rounds[name]}, base)
    return report("workers", rounds, added, starts, *starts) | {"bound": "", "goal": None}


def count(workers):
    return f"{workers} worker{'s' if workers > 1 else ''}"


def report(name, rounds, added, starts, smallest, largest):
    own, other = added[largest], added[smallest]
    return {"scale": name, "smallest": smallest, "largest": largest, "chains": medians(rounds, added), "starts": starts,
            "ratio": ratio(own, other), "ratio_interval": interval(own, other)}


def measure_start(options):
    """What the module costs at the start of Envoy, above one without a filter; the policy is the smallest."""
    scale, seen = SCALES[0], {"no filter": [], "portcullis": []}
    for _ in range(STARTS):
        for name, document in (("no filter", None), ("portcullis", scale.policy(10))):
            with begun(options, scale, document) as gateway:
                seen[name].append(after_start(gateway, document))
    without, own = ({what: statistics.median(one[what] for one in each) for what in each[0]} for each in seen.values())
    return {"module_bytes": chains.WASM.stat().st_size, "compile_cpu_s": own["cpu_s"] - without["cpu_s"],
            "compile_s": own["start_s"] - without["start_s"], "no_filter_mb": without["rss_mb"],
            "rss_mb": own["rss_mb"], "vm_mb": own["vm_mb"], "starts": seen}


@contextlib.contextmanager
def begun(options, scale, document=None, workers=1, cores=None):
    """A gateway that has answered its first request; one without a filter where there is no policy."""
    chain = chains.portcullis(document, secret="issuers" in document) if document else chains.no_filter()
    gateway = Gateway(options.envoy, chain | {"prefixes": ["/"]}, cores or options.cores[:1], scale.environment(), workers)
    try:
        path, headers = scale.sample()
        if (status := gateway.wait().status(headers, path=path)) != 200:
            raise Trouble(f"{scale.name}: the first request got {status}")
        yield gateway
    finally:
        gateway.stop()


def after_start(gateway, document):
    """Seconds of a worker's CPU, of all threads' CPU, and since the start; megabytes of the policy, of Envoy and of one VM."""
    return {"start_s": gateway.age(), "load_s": gateway.cpu("wrk:") / gateway.workers, "cpu_s": gateway.cpu(),
            "policy_mb": len(json.dumps(document)) / 1e6, "rss_mb": gateway.memory(), "vm_mb": gateway.vm_memory()}
