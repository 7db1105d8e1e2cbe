"""The sandbox's issuer for tests: on a port of its own, and ill in every way that is asked of it."""

import json
import threading
import time

import rig
from issuer import Handler, Issuer
from rig import free_port


class Patient(Handler):
    """Answers as the issuer does, unless it is ill."""

    def do_GET(self):
        self.server.fetches.append((self.path, time.monotonic(), dict(self.headers.items())))
        if self.server.illness is None:
            return super().do_GET()
        self.close_connection = True
        return self.server.illness(self)

    def raw(self, status, body=b"", kind="application/json", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body) if length is None else length))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Idp(Issuer):
    """Runs in this process; can be stopped and started again on the same port with the same keys."""

    def __init__(self, name="https://id.test.example", port=None, illness=None):
        super().__init__(("127.0.0.1", port or free_port()), name, Patient)
        self.illness, self.fetches = illness, []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Nobody listens any more, as after the end of the process."""
        self.shutdown()
        self.server_close()

    def again(self):
        """The same issuer with the same keys, started again on the same port."""
        fresh = Idp(self.name, self.server_port)
        fresh.keys = self.keys
        return fresh

    def count(self):
        """How often the key set, or what led there, was asked for."""
        return len(self.fetches)

    def policy(self, name="corp", **keys):
        """This issuer as a policy has it, with keys that age in seconds."""
        keys = {"cluster": "idp", "path": "/jwks.json", "authority": "id.test.example",
                "refresh": "1s", "timeout": "1s", "cooldown": "1s", "max_stale": "1h", **keys}
        return {"name": name, "issuer": self.name, "audiences": ["orders-api"], "algorithms": ["ES256"],
                "keys": keys, "claims": {"consumer": "client_id"}}

    def good(self, **claims):
        """A token that is valid now."""
        return self.token("app", ["orders:read"], **claims)


def status(code, body=b""):
    return lambda it: it.raw(code, body)


def body(text, kind="application/json"):
    return lambda it: it.raw(200, text if isinstance(text, bytes) else text.encode(), kind)


def truncated(it):
    """The half of a good key set, as a whole body."""
    whole = json.dumps(it.server.keys.document()).encode()
    it.raw(200, whole[: len(whole) // 2])


def cut_off(it):
    """The half of a good key set, and the connection ends."""
    whole = json.dumps(it.server.keys.document()).encode()
    it.raw(200, whole[: len(whole) // 2], length=len(whole))


def redirect(to):
    return lambda it: it.raw(302, location=to)


def with_more(**members):
    """A good key set in a very large document."""
    def answer(it):
        it.raw(200, json.dumps({**it.server.keys.document(), **members}).encode())
    return answer


def many_keys(it):
    """A good key behind 100,000 others."""
    template = it.server.keys.document()["keys"][0]
    keys = [{**template, "kid": f"key-{number}"} for number in range(100_000)]
    it.raw(200, json.dumps({"keys": [*keys, template]}).encode())


def late(seconds):
    """The good answer, too late."""
    def answer(it):
        time.sleep(seconds)
        it.raw(200, json.dumps(it.server.keys.document()).encode())
    return answer


def drip(it):
    """Head at once, then a byte a second."""
    whole = json.dumps(it.server.keys.document()).encode()
    it.raw(200, b"", length=len(whole))
    for byte in whole[:60]:
        it.wfile.write(bytes([byte]))
        it.wfile.flush()
        time.sleep(1)


def reset(it):
    """Not a byte, and the connection ends."""


NONSENSE = {
    "500": status(500, b"down"),
    "404": status(404, b"{}"),
    "204": status(204),
    "503": status(503),
    "200 with a good set but status 500": lambda it: it.raw(500, json.dumps(it.server.keys.document()).encode()),
    "empty body": body(""),
    "HTML": body("<!doctype html><title>Log in</title>", "text/html"),
    "truncated JSON": truncated,
    "a body cut off": cut_off,
    "{}": body("{}"),
    '{"keys":123}': body('{"keys":123}'),
    '{"keys":[]}': body('{"keys":[]}'),
    '{"keys":[{}]}': body('{"keys":[{}]}'),
    "[]": body("[]"),
    "null": body("null"),
    "bytes": body(bytes(range(256))),
    "reset": reset,
}
SLOW = {"30 s": late(30), "never": late(3600), "a byte a second": drip}
HUGE = {
    "10 MiB": with_more(padding="x" * (10 << 20)),
    "100,000 keys": many_keys,
    "a kid of 1 MiB": lambda it: it.raw(200, json.dumps(
        {"keys": [{**it.server.keys.document()["keys"][0], "kid": "k" * (1 << 20)}]}).encode()),
    "100,000 deep": body("[" * 100_000),
    "keys 100,000 deep": body('{"keys":' + "[" * 100_000 + "]" * 100_000 + "}"),
}
