"""The parts of a fleet on loopback: Redis, the rate limit service, Envoys with the shipped configurations."""

import contextlib
import copy
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/tokens"), str(ROOT / "tests")]
sys.dont_write_bytecode = True
import tools
import yaml
from store import Store, Unavailable
from rig import API_KEY, MODULE, Envoy, Failed, address, eventually, free_port, reachable, require, start_load

SHIPPED = ROOT / "envoy/fleet"
# The sandbox's keys of the two consumers.
GOLD, TRIAL = f"x-api-key: {API_KEY}", "x-api-key: pcl_m2NlFLReiU44mXSqN2XjSFO2SNSLB8ghbqMt6cMvIjU0umYsj"
# Of a load, each with one request at a time.
CONNECTIONS = 8
# Of each Envoy.
WORKERS = 2


class Process:
    """Something that listens on a port of its own, and can end in every way and start again there."""

    def __init__(self, command, is_ready=lambda it: reachable(it.port)):
        self.command, self.is_ready, self.port, self.process = command, is_ready, free_port(), None
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()
        self.folder.cleanup()

    def start(self):
        command = [str(word) for word in self.command(self)]
        with Path(self.folder.name, "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        require(eventually(lambda: self.is_ready(self), 20), "did not start:", command, self.log())
        return self

    def end(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(20)

    def pause(self):
        """It keeps its connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self):
        return Path(self.folder.name, "log").read_text(errors="replace")[-2000:]


def redis():
    """What it has counted survives its end: each command is on the disk before it is answered."""
    server = tools.redis_server()
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    command = lambda it: [server, "--port", it.port, "--bind", "127.0.0.1", "--dir", it.folder.name, *durable]
    return Process(command, has_loaded)


def has_loaded(process):
    """It listens before it has read what it counted."""
    try:
        return Store(process.port).run([("DBSIZE",)]) is not None
    except Unavailable:
        return False


def service(store, limits=None, *options):
    """The service on the shipped limits, or on others, counting in `store`."""
    def command(it):
        config = Path(it.folder.name, "ratelimit.yaml")
        config.write_text(yaml.safe_dump(limits or shipped("ratelimit.yaml")))
        program = [sys.executable, "-u", "-B", ROOT / "tests/fleet/service.py", "--config", config]
        return [*program, "--port", it.port, "--redis-port", store.port, *options]
    return Process(command)


def shipped(name):
    return yaml.safe_load((SHIPPED / name).read_text())


def limits_of(gold, trial):
    """The shipped limits with other numbers, each (requests, unit)."""
    limits, numbers = shipped("ratelimit.yaml"), {"gold": gold, "trial": trial}
    for limit in limits["descriptors"]:
        requests, unit = numbers[limit["value"]]
        limit["descriptors"][0]["rate_limit"].update(requests_per_unit=requests, unit=unit)
    return limits


class Gateway(Envoy):
    """An Envoy with a shipped configuration, moved to free ports, that answers itself in the upstream's place."""

    def __init__(self, name, service, change=lambda parts: None):
        super().__init__(WORKERS)
        self.bootstrap = copy.deepcopy(shipped(name))
        self.back = free_port()
        parts = self.parts()
        ports = {"orders": self.back, "ratelimit": service.port}
        for cluster in self.bootstrap["static_resources"]["clusters"]:
            for group in cluster["load_assignment"]["endpoints"]:
                for one in group["lb_endpoints"]:
                    one["endpoint"]["address"] = address(ports[cluster["name"]])
        self.bootstrap["admin"]["address"] = address(self.admin)
        parts["listener"]["address"] = address(self.port)
        parts["vm"]["code"]["local"]["filename"] = str(MODULE)
        self.bootstrap["static_resources"]["listeners"].append(answering(self.back, parts["manager"]))
        change(parts)

    def parts(self):
        """The places of the configuration that tests change."""
        (listener,) = self.bootstrap["static_resources"]["listeners"]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        filters = {it["name"]: it["typed_config"] for it in manager["http_filters"]}
        plugin = filters["portcullis"]["config"]
        return {"listener": listener, "manager": manager, "vm": plugin["vm_config"],
                "policy": plugin["configuration"]["value"], "asks": filters.get("envoy.filters.http.ratelimit")}

    def __enter__(self):
        self.start(self.bootstrap)
        return self

    def __exit__(self, *_):
        self.stop()

    def lines(self):
        """The access log: an object a request."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith('{"status"')]

    def labelled(self, name):
        """A metric as Prometheus reads it, by its name with all labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/stats/prometheus", timeout=5) as answer:
            pairs = (line.rpartition(" ") for line in answer.read().decode().splitlines())
        return {metric: value for metric, _, value in pairs}.get(name)

    def ask(self, path, key=None, **headers):
        """One request on a connection of its own, with its status and headers."""
        if key:
            headers["x-api-key"] = key.removeprefix("x-api-key: ")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, None, headers)
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def load(self, count, key=GOLD, path="/v1/orders"):
        return start_load(self, path, count, [key], CONNECTIONS)


@contextlib.contextmanager
def pair(name, service, change):
    """Two Envoys with the same configuration, started at once."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as starters:
        gateways = [Gateway(name, service, change) for _ in range(2)]
        for started in [starters.submit(stack.enter_context, it) for it in gateways]:
            started.result()
        yield gateways


def answering(port, manager):
    """A listener that answers everything, as an upstream that is never in the way."""
    everything = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    router = {"name": "envoy.filters.http.router", "typed_config": manager["http_filters"][-1]["typed_config"]}
    own = {"@type": manager["@type"], "stat_prefix": "upstream", "http_filters": [router],
           "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": own}]}
    return {"name": "upstream", "address": address(port), "filter_chains": [chain]}


def statuses(*loads):
    """The answers of several loads together, once they are over."""
    total = {}
    for load in loads:
        said = json.loads(load.communicate(timeout=60)[0])
        require(not said["broken"], "requests without an answer:", said)
        for code, count in said["statuses"].items():
            total[int(code)] = total.get(int(code), 0) + count
    return total


def away_from_the_boundary(seconds, of=60):
    """Waits until so many seconds of a window of the service's clock are left."""
    left = of - time.time() % of
    if left < seconds:
        time.sleep(left + 0.1)
