"""Rounds of requests that take turns between gateways, and what they say together."""

import json
import os
import random
import statistics
import subprocess

import chains
from gateway import Gateway, Trouble

LOAD = chains.ROOT / "target/portcullis-load"


def measure(row, options):
    """Alternating rounds of one row, in several sets of processes."""
    row.prepare((options.rounds + 1) * options.requests)
    try:
        return summary(row, in_sets(options.sets, lambda: one_set(row, options)))
    except Trouble as trouble:
        raise Trouble(f"{row.name}: {trouble}") from trouble


def in_sets(count, one):
    """The rounds of each name from several sets of processes: where one lies in memory is worth two microseconds."""
    rounds = {}
    for _ in range(count):
        for name, counted in one().items():
            rounds.setdefault(name, []).extend(counted)
    return rounds


def one_set(row, options):
    """The rounds of each chain but the first, which is not counted."""
    started, upstream = {}, None
    try:
        if row.upstream:
            # On the core of the load: what it costs is nobody's.
            upstream = Gateway(options.envoy, chains.no_filter(), {options.cores[1]}).wait()
        for name, chain in row.chains().items():
            port = upstream.port if upstream else None
            started[name] = Gateway(options.envoy, chain, {options.cores[0]}, row.environment(), upstream=port)
        for name, gateway in started.items():
            demand_same_work(row, name, gateway.wait())
        lines = row.lines()
        rounds = take_turns(started, options, lambda name, turn: one_round(
            started[name], turn, options, headers=row.headers(), lines=lines, status=row.status(name), http=row.http))
        if row.hot:
            hits = started["native, cache on"].count("jwt_authn.jwt_cache_hit")
            if hits < options.rounds * options.requests:
                raise Trouble(f"Envoy's own token cache was hit {hits} times only")
        return rounds
    finally:
        for gateway in [*started.values(), *([upstream] if upstream else [])]:
            gateway.stop()


def demand_same_work(row, name, gateway):
    """Both gateways must refuse what they are compared for refusing, or one of them does less."""
    for what, headers, source, wanted in row.demands():
        wanted = 200 if name in ("no filter", "bare filter") else wanted
        if (status := gateway.status(headers, source)) != wanted:
            raise Trouble(f"{name}: a request {what} got {status}, not {wanted}")


def take_turns(names, options, one):
    """The rounds of each name but its first. Another one begins in each: what follows a given one is not always the same."""
    names = list(names)
    rounds = {name: [] for name in names}
    for turn in range(options.rounds + 1):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            rounds[name].append(one(name, turn))
    return {name: counted[1:] for name, counted in rounds.items()}


def one_round(gateway, turn, options, headers, lines=None, status=200, http=1, path=None):
    """CPU of Envoy in microseconds a request, beside what the load saw: requests a second, latencies in microseconds."""
    command = [LOAD, "--port", gateway.port, "--count", options.requests, "--first", turn * options.requests,
               "--connections", options.connections, "--http", http, "--path", path or chains.path()]
    command += [word for header in headers for word in ("--header", header)]
    command += ["--lines", lines] if lines else []
    before = gateway.cpu()
    answer = json.loads(subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {options.cores[1]})).stdout)
    cpu = gateway.cpu() - before
    if answer["statuses"] != {str(status): options.requests}:
        raise Trouble(f"not every answer was {status}: {answer}")
    gateway.forget_log()
    return {"cpu_us": cpu / options.requests * 1e6, "rps": options.requests / answer["seconds"],
            "p50_us": answer["p50_us"], "p99_us": answer["p99_us"], "busy": cpu / answer["seconds"]}


# --- what the rounds say ---


def summary(row, rounds):
    """What each chain adds to no filter, round by round, and its ratio to the denominator."""
    added = above(rounds, "no filter")
    own, other = added["portcullis"], added[row.denominator]
    return {"row": row.name, "denominator": row.denominator, "goal": row.goal, "status": row.status("portcullis"),
            "chains": medians(rounds, added), "ratio": ratio(own, other), "ratio_interval": interval(own, other)}


def above(rounds, base):
    """CPU microseconds of a request above `base`, round by round."""
    idle = [one["cpu_us"] for one in rounds[base]]
    return {name: [one["cpu_us"] - less for one, less in zip(counted, idle)] for name, counted in rounds.items()}


def medians(rounds, added):
    return {name: {**{what: statistics.median(one[what] for one in counted) for what in counted[0]},
                   "added_us": statistics.median(added[name]), "rounds": counted}
            for name, counted in rounds.items()}


def ratio(own, other):
    return statistics.median(own) / statistics.median(other)


def interval(own, other):
    """Where nine of ten ratios lie when the rounds are drawn again and again from those that were measured."""
    draw = random.Random(0)
    rounds = range(len(own))
    ratios = []
    for _ in range(1_000):
        chosen = draw.choices(rounds, k=len(own))
        ratios.append(ratio([own[one] for one in chosen], [other[one] for one in chosen]))
    ratios.sort()
    return [ratios[50], ratios[-51]]
