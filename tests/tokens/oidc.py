#!/usr/bin/env python3
"""The filter and a certified OpenID provider, started for real: tokens, discovery, rotation, an outage.

Prints one line and ends well where there is no Node or npm. The last line is in the form that `cargo
test` prints.
"""

import base64
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import rig
from rig import Failed, Gateway, Results, eventually, free_port, require

sys.path.insert(0, str(rig.ROOT / "tests"))
import tools

RESOURCE = "https://orders.example"
CLIENT = base64.b64encode(b"orders-app:secret-of-a-test").decode()
REFRESH = 2  # seconds


class Provider:
    """The provider's process. Its keys live in a folder, so that another start has them again."""

    def __init__(self, command, folder):
        self.command, self.folder, self.port = command, folder, free_port()
        self.process = None

    @property
    def issuer(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, *keys):
        command = [str(word) for word in [*self.command, self.port, self.folder, *keys]]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(self.folder / "log").open("ab"), text=True)
        self.expect("ready")

    def stop(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(10)
            self.process.stdout.close()
            self.process = None

    def publish(self, *keys):
        """These keys and no others from now on; the first one signs."""
        self.say(" ".join(keys))
        self.expect("done")

    def counts(self):
        self.say("count")
        return json.loads(self.process.stdout.readline())

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def expect(self, word):
        line = self.process.stdout.readline().strip()
        if line != word:
            raise Failed(f"the provider says `{line}`:\n{(self.folder / 'log').read_text()}")

    def token(self, scope="orders:read", resource=RESOURCE):
        form = {"grant_type": "client_credentials", "scope": scope}
        if resource:
            form["resource"] = resource  # RFC 8707: what makes the token a JWT
        request = urllib.request.Request(
            f"{self.issuer}/token", urllib.parse.urlencode(form).encode(), {"authorization": f"Basic {CLIENT}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["access_token"]


def policy(provider):
    keys = {"cluster": "idp", "authority": f"127.0.0.1:{provider.port}", "discovery": True,
            "refresh": f"{REFRESH}s", "timeout": "1s", "cooldown": "1s", "max_stale": "1h"}
    return rig.policy(
        [{"name": "provider", "issuer": provider.issuer, "audiences": [RESOURCE], "types": ["at+jwt"],
          "algorithms": ["RS256", "ES256", "EdDSA"], "keys": keys, "claims": {"consumer": "client_id"}}])


def tokens(gateway, provider):
    """A token of the provider is the caller's, with its scopes; what is not such a token is refused."""
    answer = gateway.ask("/tokens", provider.token()).must_be(200)
    identity = json.loads(answer.body)["identity"]
    require(identity.get("x-portcullis-consumer") == "provider:orders-app", identity)
    require("authorization" not in answer.body, "the token went on to the upstream")
    missing = gateway.ask("/write", provider.token()).must_be(403, "scope_missing")
    challenge = 'Bearer realm="tests", error="insufficient_scope", scope="orders:write"'
    require(missing.challenges == [challenge], missing.challenges)
    gateway.ask("/write", provider.token("orders:read orders:write")).must_be(200)
    gateway.ask("/tokens", provider.token(resource="https://other.example")).must_be(401, "token_audience")
    gateway.ask("/tokens", provider.token(resource=None)).must_be(401, "token_malformed", "an opaque token")
    head, _, signature = provider.token().rpartition(".")
    forged = f"{head}.{signature[:20]}{'A' if signature[20] != 'A' else 'B'}{signature[21:]}"
    gateway.ask("/tokens", forged).must_be(401, "token_signature")
    require(provider.counts()["discovery"] >= 1, "the keys were not found by discovery")


def rotation(gateway, provider):
    """RS256 to ES256 to EdDSA: a key is added, signs, and the old one goes."""
    held = provider.token()
    for old, new in [("a:RS256", "b:ES256"), ("b:ES256", "c:EdDSA")]:
        provider.publish(old, new)
        gateway.ask("/tokens", held).must_be(200, about=f"{new} is published:")
        provider.publish(new, old)
        fresh = provider.token()
        gateway.ask("/tokens", fresh).must_be(200, about=f"{new} signs:")
        gateway.ask("/tokens", held).must_be(200, about=f"{old} is still published:")
        provider.publish(new)
        # Also where the token stood in a cache of verified ones.
        refused = eventually(lambda: gateway.ask("/tokens", held).status == 401, 2 * REFRESH + 2)
        require(refused, f"a token of {old} works {2 * REFRESH + 2} s after its key was removed")
        gateway.ask("/tokens", held).must_be(401, "token_key_unknown")
        gateway.ask("/tokens", fresh).must_be(200, about=f"{old} is gone:")
        held = fresh


def outage(gateway, provider):
    """Stopped: tokens go on. Started again with another key: new tokens work as well."""
    held = provider.token()
    gateway.ask("/tokens", held).must_be(200)
    provider.stop()
    end, asked = time.monotonic() + 2.5 * REFRESH, 0
    while time.monotonic() < end:
        gateway.ask("/tokens", held).must_be(200, about="while the provider is away:")
        asked += 1
    with Gateway(policy(provider), {"idp": provider.port}) as cold:
        cold.ask("/tokens", held).must_be(503, "keys_unavailable", "without a key set:")
        cold.ask("/keys", key=rig.API_KEY).must_be(200)
        cold.ask("/public").must_be(200)
        provider.start("d:RS256", "c:EdDSA")
        recovered = eventually(lambda: cold.ask("/tokens", held).status == 200, 3 * REFRESH + 5)
        require(recovered, "no key set after the provider came back")
        cold.ask("/tokens", provider.token()).must_be(200, about="a new key, without a key set before:")
        cold.no_trap()
    gateway.ask("/tokens", held).must_be(200)
    fresh = eventually(lambda: gateway.ask("/tokens", provider.token()).status == 200, 3 * REFRESH)
    require(fresh, "a new token does not work after the provider came back")
    gateway.no_trap()
    return f"{asked} requests while it was away"


def main():
    try:
        command = tools.oidc_provider()
    except tools.Trouble as trouble:
        sys.exit(f"cannot run: {trouble}")
    if not command:
        print("skipped: there is no Node with npm here")
        return
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        provider = Provider(command, Path(folder))
        try:
            provider.start("a:RS256")
            with Gateway(policy(provider), {"idp": provider.port}) as gateway:
                results.test("tokens of the OpenID provider", tokens, gateway, provider)
                results.test("the provider rotates its keys", rotation, gateway, provider)
                results.test("the provider is stopped and started again", outage, gateway, provider)
        finally:
            provider.stop()
    results.end()


if __name__ == "__main__":
    main()
