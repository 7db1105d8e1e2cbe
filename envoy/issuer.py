#!/usr/bin/env python3
"""The sandbox's issuer of tokens: an authorization server with one grant, and its key set.

GET  /.well-known/openid-configuration   where everything is (OpenID Connect Discovery)
GET  /jwks.json                          the public keys, with an ETag
POST /token                              a token for a client and its secret (RFC 6749, 4.4)
POST /control/add                        publishes one more key
POST /control/sign                       signs with the newest key from now on
POST /control/remove                     takes every key away that no longer signs
GET  /control/counters                   how often the documents were fetched, and tokens asked for

Whoever reaches its port controls it; its clients' secrets stand below. It is for the sandbox alone.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import es256

# SANDBOX CLIENTS: their secrets, and the scopes that each may ask for.
CLIENTS = {
    "billing-app": ("sandbox-billing", ["orders:read", "orders:write"]),
    "warehouse-app": ("sandbox-warehouse", ["orders:read"]),
    "auditor": ("sandbox-auditor", ["orders:read", "partner:exchange"]),
}
AUDIENCE = "orders-api"
LIFETIME = 600  # seconds of a token
MAX_BODY = 16384


class Refused(Exception):
    """An error of RFC 6749, section 5.2: its code and what it means here."""

    def __init__(self, code, description, status=400):
        super().__init__(code)
        self.code, self.description, self.status = code, description, status


class Keys:
    """The published keys, oldest first, and the one of them that signs."""

    def __init__(self):
        self.lock = threading.Lock()
        self.signing = es256.Key()
        self.published = [self.signing]

    def add(self):
        with self.lock:
            self.published.append(es256.Key())

    def sign(self):
        with self.lock:
            self.signing = self.published[-1]

    def remove(self):
        with self.lock:
            self.published = [self.signing]

    def document(self):
        with self.lock:
            return {"keys": [key.jwk for key in self.published]}

    def ids(self):
        with self.lock:
            return {"published": [key.id for key in self.published], "signing": self.signing.id}


class Issuer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, name, handler=None):
        super().__init__(address, handler or Handler)
        self.name = name
        self.keys = Keys()
        self.counters = Counter(discovery=0, key_set=0, not_modified=0, tokens=0)

    def token(self, client, scopes, **claims):
        """A signed access token as RFC 9068 has it; `claims` replaces what it would say."""
        now = int(time.time())
        return self.keys.signing.token({
            "iss": self.name, "aud": AUDIENCE, "sub": client, "client_id": client, "scope": " ".join(scopes),
            "iat": now, "exp": now + LIFETIME, "jti": secrets.token_urlsafe(12), **claims,
        })

    def handle_error(self, request, client_address):
        """A caller that went away is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox-issuer"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 75

    def do_GET(self):
        path = urlsplit(self.path).path
        if path in ("/.well-known/openid-configuration", "/jwks.json"):
            self.server.counters["discovery" if path.startswith("/.") else "key_set"] += 1
            return self.publish(self.discovery() if path.startswith("/.") else self.server.keys.document())
        if path == "/control/counters":
            return self.reply(200, {**self.server.counters, "keys": self.server.keys.ids()})
        if path == "/healthz":
            return self.reply(200, {})
        return self.reply(404, {"error": "not found"})

    def do_POST(self):
        length = self.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY or self.headers.get("transfer-encoding"):
            self.close_connection = True
            return self.reply(413, {"error": "body refused"})
        body = self.rfile.read(int(length))
        controls = {f"/control/{name}": getattr(self.server.keys, name) for name in ("add", "sign", "remove")}
        if self.path in controls:
            controls[self.path]()
            return self.reply(200, self.server.keys.ids())
        if self.path != "/token":
            return self.reply(404, {"error": "not found"})
        try:
            return self.reply(200, self.grant(body), {"cache-control": "no-store", "pragma": "no-cache"})
        except Refused as refused:
            extra = {"cache-control": "no-store", "pragma": "no-cache"}
            if refused.status == 401:
                extra["www-authenticate"] = 'Basic realm="sandbox"'
            return self.reply(refused.status, {"error": refused.code, "error_description": refused.description}, extra)

    def grant(self, body):
        """The client credentials grant: the answer of RFC 6749, section 5.1, or Refused."""
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            raise Refused("invalid_request", "the body must be a form")
        try:
            pairs = parse_qsl(body.decode("ascii"), strict_parsing=bool(body), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise Refused("invalid_request", "the form cannot be read") from None
        form = dict(pairs)
        if len(form) != len(pairs):
            raise Refused("invalid_request", "a parameter stands twice")
        client = self.client(form)
        if "grant_type" not in form:
            raise Refused("invalid_request", "grant_type is missing")
        if form["grant_type"] != "client_credentials":
            raise Refused("unsupported_grant_type", "the one grant here is client_credentials")
        allowed = CLIENTS[client][1]
        scopes = form.get("scope", " ".join(allowed)).split(" ")
        if unknown := [scope for scope in scopes if scope not in allowed]:
            raise Refused("invalid_scope", f"not for this client: {' '.join(unknown)}")
        self.server.counters["tokens"] += 1
        token = self.server.token(client, scopes)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME, "scope": " ".join(scopes)}

    def client(self, form):
        """Who asks, by HTTP Basic or by the form, never by both (RFC 6749, 2.3.1)."""
        header = self.headers.get("authorization")
        if header and "client_secret" in form:
            raise Refused("invalid_request", "the client shows its secret twice")
        if header:
            scheme, _, value = header.partition(" ")
            try:
                decoded = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                decoded = ""
            client, _, secret = (unquote_plus(part) for part in decoded.partition(":"))
            if scheme.lower() != "basic":
                client = ""
        else:
            client, secret = form.get("client_id", ""), form.get("client_secret", "")
        expected = CLIENTS[client][0] if client in CLIENTS else secrets.token_hex()
        if not hmac.compare_digest(secret.encode(), expected.encode()):
            raise Refused("invalid_client", "no client has this id and secret", 401)
        return client

    def discovery(self):
        name = self.server.name
        return {
            "issuer": name,
            "token_endpoint": f"{name}/token",
            "jwks_uri": f"{name}/jwks.json",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": sorted({scope for _, scopes in CLIENTS.values() for scope in scopes}),
        }

    def publish(self, document):
        """A document that may be kept for a while: 304 for who has it already."""
        tag = f'"{hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]}"'
        extra = {"etag": tag, "cache-control": "public, max-age=300"}
        if self.headers.get("if-none-match") == tag:
            self.server.counters["not_modified"] += 1
            return self.reply(304, None, extra)
        return self.reply(200, document, extra)

    def reply(self, status, document, extra=None):
        body = b"" if document is None else (json.dumps(document, indent=2) + "\n").encode()
        self.send_response(status)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        if document is not None:
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Silent: what matters is counted."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="https://id.sandbox.example", help="the `iss` of its tokens")
    options = parser.parse_args()
    server = Issuer((options.host, options.port), options.name)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
