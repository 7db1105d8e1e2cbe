"""Results as text, as a table for README.md, and as JSON."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

import chains

# What the native chain leaves out in every row. The comparison is kind to it by that much.
NATIVE_CANNOT = [
    "keep API keys as digests, with expiry, state and rotation: `api_key_auth` has them in clear text",
    "know the scopes of a client with an API key: a table of all clients in `rbac` stands in for it",
    "name the missing scope in the challenge of a 403",
    "hold clients to their limit when there are more of them than buckets: one that is evicted comes back with a full bucket",
    "say in the log which limit was used up, what is left of it, or which scopes are missing; each filter has words of its own for a refusal",
]


def heading(options):
    facts = about(options)
    return (f"{facts['machine']}, {facts['date']}, {facts['envoy']}, Portcullis {facts['revision']}\n"
            f"{options.sets} set{'s' * (options.sets > 1)} of processes, {options.rounds} rounds of {options.requests} requests each; {chains.CLIENTS} clients, {chains.RANGES} ranges, "
            f"{chains.ROUTES} routes\nadded: CPU microseconds of a request above no filter; ratio: of what is added, and where 9 of 10 redrawn ratios lie\n")


def row(result):
    print(f"{result['row']:22} ratio {spread(result)} to {result['denominator']}; {goal(result)}")
    chain_lines(result["chains"])
    return result


def scale(result):
    notes = [note for note in (result["bound"], goal(result) if result["goal"] else "") if note]
    print("; ".join([f"{result['scale']:22} ratio {spread(result)} of {result['largest']} to {result['smallest']}", *notes]))
    chain_lines(result["chains"])
    for name, start in result["starts"].items():
        print(f"    {name:20} {start['policy_mb']:6.2f} MB of policy, loaded in {start['load_s']:.3f} s of each worker's CPU; first answer after "
              f"{start['start_s']:.1f} s; Envoy {start['rss_mb']:.0f} MB, then {start['rss_after_mb']:.0f} MB, of which each VM {start['vm_mb']:.1f} MB", flush=True)
    return result


def limits(result):
    own, other = result["limit_us"]["portcullis"], result["limit_us"]["native"]
    low, high = result["more_interval"]
    met = result["more_us"] <= result["allowance_us"]
    print(f"{'one limit':22} adds {own:.1f} us to Portcullis, {other:.1f} us to the native chain: {result['more_us']:+.1f} us "
          f"({low:+.1f} to {high:+.1f}); goal {result['allowance_us']:+g} us: {'met' if met else 'missed'}")
    cheaper = result["refused_more_us"] < 0
    print(f"{'':22} a 429 takes {result['refused_us']:.1f} us, a forwarded request {result['forwarded_us']:.1f} us; "
          f"goal less: {'met' if cheaper else 'missed'}")
    chain_lines(result["chains"])
    print(flush=True)
    return result


def start(result):
    print(f"{'start':22} compiling the module of {result['module_bytes'] / 1000:.0f} KB and starting its VMs: "
          f"{result['compile_cpu_s']:.2f} s of CPU, {result['compile_s']:.2f} s\n"
          f"{'':22} Envoy {result['no_filter_mb']:.0f} MB without a filter, {result['rss_mb']:.0f} MB with it; "
          f"memory of one VM {result['vm_mb']:.1f} MB\n", flush=True)
    return result


def spread(result):
    low, high = result["ratio_interval"]
    return f"{result['ratio']:.2f} ({low:.2f} to {high:.2f})"


def goal(result):
    if result["goal"] is None:
        return "no goal"
    return f"goal {result['goal']:g}: {'met' if result['ratio'] <= result['goal'] else 'missed'}"


def chain_lines(compared):
    for name, chain in compared.items():
        print(f"    {name:20} {chain['cpu_us']:6.1f} us, added {chain['added_us']:6.1f}; {chain['rps']:6.0f}/s, "
              f"p50 {chain['p50_us']:5.0f} us, p99 {chain['p99_us']:5.0f} us, Envoy busy {chain['busy']:.0%}", flush=True)


def cannot():
    return "Envoy's own filters cannot:\n" + "\n".join(f"  - {what}" for what in NATIVE_CANNOT)


def table(results):
    lines = ["| request | other | it adds | Portcullis adds | ratio | 9 of 10 redrawn | goal |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for result in results:
        other, own = (result["chains"][name]["added_us"] for name in (result["denominator"], "portcullis"))
        low, high = result["ratio_interval"]
        aim = "" if result["goal"] is None else f"{result['goal']:g}"
        lines.append(f"| {result['row']} | {result['denominator']} | {other:.0f} µs | {own:.0f} µs | {result['ratio']:.2f} | "
                     f"{low:.2f} to {high:.2f} | {aim} |")
    return "\n".join(lines)


def about(options):
    version = subprocess.run([str(options.envoy), "--version"], capture_output=True, text=True).stdout
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=chains.ROOT, capture_output=True, text=True).stdout
    return {"machine": f"{len(os.sched_getaffinity(0))} cores of {processor()}", "date": datetime.date.today().isoformat(),
            "envoy": f"Envoy {found[1] if (found := re.search(r'/([0-9.]+)/', version)) else '?'}", "revision": revision.strip() or "?",
            "module_bytes": chains.WASM.stat().st_size, "rounds": options.rounds, "requests": options.requests}


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
