"""Tokens and keys for the benchmark, minted ahead and kept for a day in target/bench."""

import subprocess
import time
from pathlib import Path

import chains

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "target/bench"
KEPT_SECONDS = 12 * 3600  # the tokens are good for twice as long


class Tokens:
    """The tokens of one algorithm, one a line, and the key set that verifies them."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "tokens"

    def jwks(self):
        return (self.folder / "jwks.json").read_text()

    def secret(self):
        """What is in the environment for algorithms with a shared secret; nothing for the others."""
        secret = self.folder / "secret"
        return secret.read_text() if secret.exists() else ""

    def samples(self):
        """A good token, a forged one, and one without the route's scope. None of them is measured."""
        good, unscoped = ((self.folder / name).read_text() for name in ("good", "unscoped"))
        head, payload, signature = good.split(".")
        swapped = "B" if signature[10] == "A" else "A"
        return good, f"{head}.{payload}.{signature[:10]}{swapped}{signature[11:]}", unscoped


def mint(algorithm, count):
    """At least `count` tokens: those of an earlier run, or fresh ones."""
    folder = FOLDER / f"{algorithm}-{count}"
    done = folder / "tokens"
    if not (done.exists() and time.time() - done.stat().st_mtime < KEPT_SECONDS):
        subprocess.run(["/tmp/benchvenv/bin/python", "/tmp/benchmint.py", algorithm, str(count), str(folder)], check=True)
    return Tokens(folder)


def api_keys():
    """The keys of all clients but the first, which lacks the scope."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = FOLDER / "api-keys"
    lines.write_text("\n".join(chains.key(number) for number in range(1, chains.CLIENTS)))
    return lines
