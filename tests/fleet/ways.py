"""The two ways to limit a fleet, each with its shipped configuration: what the tests set, and what must be told."""

import time

from parts import require
from rig import eventually

# What one process admits in a second in the tests of an outage, and at once.
OWN = 40
PROCESSES = 2


def every_limit(parts, rate):
    for limit in parts["policy"]["limits"].values():
        limit["rate"] = rate


class HandedOver:
    name, file = "handed over", "handed-over.yaml"
    # Hits of the gold limit that are asked for at once.
    lease = 1

    def patient(self, parts):
        """Leaves all to the service, and waits for it however busy the machine is."""
        parts["asks"]["timeout"] = "5s"
        every_limit(parts, "100000/m")

    def prepare(self, parts, fallback):
        parts["asks"].update(failure_mode_deny=fallback == "deny", timeout="0.1s")
        every_limit(parts, "10000/s" if fallback == "allow" else f"{OWN}/s")

    def most(self, seconds):
        """What all processes admit in a time without the service."""
        return PROCESSES * OWN * (seconds + 1)

    def errors(self, gateway):
        return sum(gateway.stats("ratelimit.error").values())

    def is_on(self, gateway):
        """Envoy counts one request after the other that it has no answer for."""
        before = self.errors(gateway)
        return eventually(lambda: self.errors(gateway) > before, 5)

    def is_off(self, gateway):
        """And no more of them."""
        def calm():
            before = self.errors(gateway)
            time.sleep(0.3)
            return self.errors(gateway) == before
        return eventually(calm, 20)

    def told(self, gateway, fallback):
        """What statistics and access log say of an outage: how many requests met it."""
        errors = self.errors(gateway)
        allowed = sum(gateway.stats("ratelimit.failure_mode_allowed").values())
        require(errors and allowed == (0 if fallback == "deny" else errors), f"{errors} errors, {allowed} allowed")
        lines = gateway.lines()
        refused = [it for it in lines if it["details"] == "rate_limiter_error"]
        quiet = [it for it in lines if it["status"] == 200 and not it["service"]]
        met, other = (refused, quiet) if fallback == "deny" else (quiet, refused)
        require(len(met) == errors and not other, f"{len(met)} lines, {errors} errors, {len(other)} of the other kind")
        return errors


class Direct:
    name, file = "direct", "direct.yaml"
    lease = 20

    def patient(self, parts):
        parts["policy"]["fleet"]["timeout"] = "5000ms"
        # A refusal is told for as long as this bucket takes to fill, and no longer.
        every_limit(parts, "100000/h")
        parts["policy"]["limits"]["gold"]["lease"] = self.lease

    def prepare(self, parts, fallback):
        parts["policy"]["fleet"].update(on_error=fallback, timeout="100ms", processes=PROCESSES)
        every_limit(parts, f"{OWN}/s")

    def most(self, seconds):
        return OWN * (seconds + 1)

    def is_on(self, gateway):
        return eventually(lambda: gateway.total("fleet_breakers_open"), 5)

    def is_off(self, gateway):
        """Every worker has met the service again."""
        return eventually(lambda: not gateway.total("fleet_breakers_open"), 20)

    def told(self, gateway, fallback):
        lines = [limit for line in gateway.lines() for limit in line["audit"][0].get("limits", [])]
        word = "local" if fallback == "local" else "nobody"
        met = [it for it in lines if it.get("from") == word]
        # The counters come with the next tick.
        counted = 'portcullis_fleet_fallbacks{gateway="fleet",limit="gold"}'
        require(met and eventually(lambda: gateway.labelled(counted) == str(len(met)), 3),
                f"{len(met)} lines, {gateway.stats('portcullis.fleet')}")
        return len(met)
