"""Configure, build and run C++ as a user does, with the cmake and ninja of this environment."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Build:
    """A build of the library that is installed too.

    Attributes:
        folder: the build tree.
        prefix: where it is installed.
        no_doctest: why the C++ tests are left out; None: they are built.
    """

    folder: Path
    prefix: Path
    no_doctest: str | None


def tool(name: str) -> str:
    """Path of a program, of this environment first."""
    scripts = sysconfig.get_path("scripts")
    found = shutil.which(name, path=scripts) or shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; it comes with: pip install '.[test]'")
    return found


def run(*command: str | Path, timeout: float = 1500, check: bool = True) -> str:
    """Runs a command; returns all it printed, and fails with that if the command fails."""
    done = subprocess.run(
        [str(c) for c in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout}")
    return done.stdout


def configure(source: Path, build: Path, *, check: bool = True, **cache: object) -> str:
    """``cmake`` with ninja and the given cache variables; Release unless told otherwise."""
    variables = {"CMAKE_BUILD_TYPE": "Release", **cache}
    return run(
        *(tool("cmake"), "-S", source, "-B", build, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        *(f"-D{key}={value}" for key, value in variables.items()),
        check=check,
    )


def build(folder: Path, *options: str) -> str:
    """``cmake --build``."""
    return run(tool("cmake"), "--build", folder, *options)


def build_and_install(source: Path, folder: Path) -> Build:
    """The library with its C++ tests, or without them where doctest is missing."""
    cache = {"SNNFP_TESTS": "ON", "CMAKE_INSTALL_PREFIX": folder / "prefix"}
    printed = configure(source, folder / "build", check=False, **cache)
    missing = "doctest is not installed" in printed
    if missing:
        cache["SNNFP_TESTS"] = "OFF"
    configure(source, folder / "build", **cache)  # fails with what it printed
    build(folder / "build")
    run(tool("cmake"), "--install", folder / "build")
    reason = (
        "the C++ tests were left out: doctest is not installed (apt install doctest-dev)"
        if missing
        else None
    )
    return Build(folder / "build", folder / "prefix", reason)


def consume(kind: str, folder: Path, repository: Path, **cache: object) -> Path:
    """Compiles the example in the project ``tests/consumer/<kind>``; returns the program."""
    configure(
        repository / "tests" / "consumer" / kind,
        folder,
        SNNFP_EXAMPLE=repository / "cpp" / "examples" / "first_gradient.cpp",
        **cache,
    )
    build(folder)
    return folder / "consumer"
