"""ES256 for the sandbox's issuer: keys and signatures on P-256 with Python alone.

Good enough to make test tokens and nothing else: it takes no care to run in constant time. What
Portcullis verifies with is another thing altogether.
"""

import base64
import hashlib
import json
import secrets

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def text(data):
    """Base64url as JOSE has it, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A private key, its public half as a JWK, and the RFC 7638 thumbprint as its id."""

    def __init__(self):
        self.private = 1 + secrets.randbelow(N - 1)
        x, y = (text(it.to_bytes(32, "big")) for it in times(self.private))
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        self.id = text(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
        self.jwk = {**members, "kid": self.id, "use": "sig", "alg": "ES256"}

    def token(self, claims, typ="at+jwt"):
        """The claims as a signed token."""
        header = {"alg": "ES256", "typ": typ, "kid": self.id}
        signed = ".".join(text(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        return f"{signed}.{text(self.sign(signed.encode()))}"

    def sign(self, message):
        digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
        while True:
            once = 1 + secrets.randbelow(N - 1)
            r = times(once)[0] % N
            s = pow(once, -1, N) * (digest + r * self.private) % N
            if r and s:
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def times(scalar):
    """That many times the generator, as x and y."""
    x, y, z = 0, 1, 0  # Jacobian coordinates: (x / z², y / z³); z = 0 is the point at infinity
    for bit in bin(scalar)[2:]:
        x, y, z = double(x, y, z)
        if bit == "1":
            x, y, z = add_generator(x, y, z)
    inverse = pow(z, -1, P)
    return x * inverse**2 % P, y * inverse**3 % P


def double(x, y, z):
    square = y * y % P
    middle = 4 * x * square % P
    slope = 3 * (x - z * z) * (x + z * z) % P
    x3 = (slope * slope - 2 * middle) % P
    return x3, (slope * (middle - x3) - 8 * square * square) % P, 2 * y * z % P


def add_generator(x, y, z):
    if z == 0:
        return *GENERATOR, 1
    gx, gy = GENERATOR
    across, up = (gx * z * z - x) % P, (gy * z * z * z - y) % P
    if across == 0:
        return double(x, y, z) if up == 0 else (0, 1, 0)
    cube = across**3 % P
    middle = x * across * across % P
    x3 = (up * up - cube - 2 * middle) % P
    return x3, (up * (middle - x3) - y * cube) % P, across * z % P
