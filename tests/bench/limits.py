"""What a limit costs: the same chain with it and without it, Envoy's and ours; and a 429 beside a forwarded request."""

import contextlib
import random
import statistics

import chains
import tokens
from gateway import Gateway, Trouble
from measure import above, in_sets, medians, one_round, take_turns
from rows import Row

SETS = 3  # of processes, for each one of a row: a limit is a small part of one
ALLOWANCE = 1.0  # CPU microseconds that one of ours may cost more than one of Envoy's

COUNTED, USED_UP = Row("api key"), Row("429", refused="limit")


def measure(options):
    """Rounds of all chains in turn, in several sets of processes."""
    return summary(in_sets(SETS * options.sets, lambda: one_set(options)))


def one_set(options):
    """Alternating rounds; the first is not counted."""
    upstream_core, core = {options.cores[1]}, {options.cores[0]}
    with contextlib.ExitStack() as stack:
        def begin(chain, cores=core, port=None):
            gateway = Gateway(options.envoy, chain, cores, upstream=port)
            stack.callback(gateway.stop)
            return gateway.wait()

        # On the core of the load: what it costs is nobody's.
        port = begin(chains.no_filter(), upstream_core).port
        native, policy = chains.native(COUNTED), chains.policy(COUNTED)
        started = {
            "no filter": begin(chains.no_filter()),
            "native": begin(native),
            "native, no limit": begin(native | {"filters": [one for one in native["filters"] if one["name"] != "limit"]}),
            "portcullis": begin(chains.portcullis(policy)),
            "portcullis, no limit": begin(chains.portcullis(without_limits(policy))),
            "portcullis, forwarded": begin(chains.portcullis(policy), port=port),
            "portcullis, 429": begin(chains.portcullis(chains.policy(USED_UP)), port=port),
        }
        asked = {name: USED_UP if name.endswith("429") else COUNTED for name in started}
        if (status := started["portcullis, 429"].status(USED_UP.headers(chains.key(1)))) != 200:
            raise Trouble(f"limits: the first request got {status}")
        files = {row: tokens.single(chains.key(1)) if row.refused else row.lines() for row in (COUNTED, USED_UP)}
        return take_turns(started, options, lambda name, turn: one_round(
            started[name], turn, options, headers=COUNTED.headers(), lines=files[asked[name]], status=asked[name].status(name)))


def without_limits(policy):
    consumers = [{field: value for field, value in consumer.items() if field != "limits"} for consumer in policy["consumers"]]
    return {field: value for field, value in policy.items() if field != "limits"} | {"consumers": consumers}


def summary(rounds):
    spent = {name: [one["cpu_us"] for one in counted] for name, counted in rounds.items()}
    own, other = (differences(spent[name], spent[f"{name}, no limit"]) for name in ("portcullis", "native"))
    refused = differences(spent["portcullis, 429"], spent["portcullis, forwarded"])
    return {
        "chains": medians(rounds, above(rounds, "no filter")),
        "limit_us": {"portcullis": statistics.median(own), "native": statistics.median(other)},
        "more_us": statistics.median(own) - statistics.median(other),
        "more_interval": interval(own, other), "allowance_us": ALLOWANCE,
        "refused_us": statistics.median(spent["portcullis, 429"]), "forwarded_us": statistics.median(spent["portcullis, forwarded"]),
        "refused_more_us": statistics.median(refused),
    }


def differences(these, those):
    return [one - less for one, less in zip(these, those)]


def interval(own, other):
    """Where nine of ten differences of medians lie when the rounds are drawn again and again."""
    draw, found = random.Random(0), []
    for _ in range(1_000):
        chosen = draw.choices(range(len(own)), k=len(own))
        found.append(statistics.median(own[one] for one in chosen) - statistics.median(other[one] for one in chosen))
    found.sort()
    return [found[50], found[-51]]
