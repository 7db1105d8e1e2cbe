#!/usr/bin/env python3
"""One endpoint of a sandbox service: answers every request with what arrived, as JSON.

GET /healthz is the health check. On SIGTERM the endpoint drains: its health check fails and every
answer closes its connection, so that callers move on, and a moment later the process ends.
"""

import argparse
import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DRAIN_SECONDS = 2.5  # longer than two health checks of envoy.yaml
MAX_BODY = 1 << 20
IDENTITY_PREFIX = "x-portcullis-"


class BodyRefused(Exception):
    """The body is longer than MAX_BODY or not framed as HTTP/1.1 asks."""


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, identity):
        super().__init__(address, Handler)
        self.identity = identity
        self.draining = threading.Event()

    def handle_error(self, request, client_address):
        """A caller that went away is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def drain(self, *_signal):
        """Starts the drain; a second call changes nothing."""
        if not self.draining.is_set():
            self.draining.set()
            threading.Thread(target=self._end, daemon=True).start()

    def _end(self):
        time.sleep(DRAIN_SECONDS)
        self.shutdown()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox-upstream"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # head and body of an answer leave together
    timeout = 75  # seconds; longer than the proxy keeps an idle connection

    def answer(self):
        try:
            body_bytes = self.discard_body()
        except (BodyRefused, ValueError):
            self.close_connection = True
            return self.reply(400, {"error": "body refused"})
        if self.path == "/healthz":
            draining = self.server.draining.is_set()
            return self.reply(503 if draining else 200, {"draining": draining})
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        return self.reply(200, {
            **self.server.identity,
            "method": self.command,
            "path": self.path,
            "identity": {n: v for n, v in headers if n.startswith(IDENTITY_PREFIX)},
            "body_bytes": body_bytes,
            "headers": [f"{name}: {value}" for name, value in headers],
        })

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def reply(self, status, document):
        body = (json.dumps(document, indent=2) + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if self.server.draining.is_set():
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def discard_body(self):
        """Reads the request's body to its end, so that the connection can carry the next request."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self.discard_chunks()
        length = int(self.headers.get("content-length", "0"))
        return self.discard(length)

    def discard_chunks(self):
        total = 0
        while size := int(self.rfile.readline(64).split(b";")[0], 16):
            total += self.discard(size, total)
            self.rfile.readline(3)
        while self.rfile.readline(1 << 16) not in (b"\r\n", b"\n", b""):
            pass  # trailers
        return total

    def discard(self, size, before=0):
        if size < 0 or before + size > MAX_BODY:
            raise BodyRefused
        if len(self.rfile.read(size)) != size:
            raise BodyRefused
        return size

    def log_message(self, *_args):
        """Silent: the gateway's access log has every request."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--version", default="v1")
    parser.add_argument("--endpoint", default="a")
    options = parser.parse_args()
    identity = {
        "service": options.service,
        "version": options.version,
        "endpoint": options.endpoint,
    }
    server = Endpoint((options.host, options.port), identity)
    signal.signal(signal.SIGTERM, server.drain)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass  # at once, without the drain


if __name__ == "__main__":
    main()
