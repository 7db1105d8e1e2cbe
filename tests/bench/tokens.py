"""Tokens and keys for the benchmark, minted ahead and kept for a day in target/bench."""

import itertools
import subprocess
import time
from pathlib import Path

import chains

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "target/bench"
MINT = ROOT / "target/debug/portcullis-bench-tokens"
KEPT_SECONDS = 12 * 3600  # the tokens are good for twice as long


class Tokens:
    """The tokens of one algorithm, one a line, and the key set that verifies them."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "tokens"

    def first(self, count):
        """A file of only so many."""
        few = self.folder / f"first-{count}"
        with self.path.open() as lines:
            few.write_text("".join(itertools.islice(lines, count)))
        return few

    def last(self, count):
        """Whether there are so many, and for long enough."""
        if not self.path.exists() or time.time() - self.path.stat().st_mtime > KEPT_SECONDS:
            return False
        with self.path.open("rb") as lines:
            return sum(1 for _ in lines) >= count

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
    """At least `count` tokens: those of an earlier run, or fresh ones with a fresh key."""
    held = Tokens(FOLDER / algorithm)
    if not held.last(count):
        print(f"minting {count} tokens of {algorithm}", flush=True)
        subprocess.run([MINT, algorithm, str(count), held.folder], check=True)
    return held


def build():
    """The tool that mints. Not optimised itself, but the crates that sign are."""
    command = ["cargo", "build", "--quiet", "--locked", "--package", "portcullis-tests", "--bin", MINT.name]
    subprocess.run(command, cwd=ROOT, check=True)


def api_keys(numbers=range(1, chains.CLIENTS)):
    """A file of keys: of all clients but the first, which lacks the scope, unless told otherwise."""
    return lines("api-keys", map(chains.key, numbers))


def single(credential):
    """A file of one line."""
    return lines("single", [credential])


def lines(name, texts):
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / name
    file.write_text("\n".join(texts))
    return file
