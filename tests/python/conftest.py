"""Fixtures that several files share."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import pytest
from cpp_build import Build, build, build_and_install, configure, consume, run, tool

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data, from SNNFP_DATA."""
    folder = os.environ.get("SNNFP_DATA")
    if not folder:
        pytest.skip("SNNFP_DATA is not set to the folder of real data")
    path = Path(folder)
    assert path.is_dir(), f"SNNFP_DATA = {folder} is not a folder"
    return path


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def cpp_library(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The C++ library: one Release build, shared by the tests, installed beside it."""
    return build_and_install(repository, tmp_path_factory.mktemp("cpp"))


@pytest.fixture(scope="session")
def installed_example(
    cpp_library: Build, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The C++ example, compiled against the installed library by find_package."""
    folder = tmp_path_factory.mktemp("find_package")
    return consume("find_package", folder, repository, CMAKE_PREFIX_PATH=cpp_library.prefix)


@pytest.fixture(scope="session")
def shared_library(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the library is installed as a shared one; a Debug build of one instruction set."""
    folder = tmp_path_factory.mktemp("shared")
    prefix = folder / "prefix"
    configure(
        repository,
        folder / "build",
        BUILD_SHARED_LIBS="ON",
        CMAKE_BUILD_TYPE="Debug",
        CMAKE_INSTALL_PREFIX=prefix,
        SNNFP_X86_VARIANTS="OFF",
    )
    build(folder / "build")
    run(tool("cmake"), "--install", folder / "build")
    return prefix


@pytest.fixture(scope="session", params=["ON", "OFF"], ids=["openmp", "no-openmp"])
def subdirectory_example(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bool]:
    """The C++ example, compiled with the library inside its own project, and whether with OpenMP.

    A Debug build: quick to compile, and the numbers must not depend on the optimisation.
    """
    program = consume(
        "subdirectory",
        tmp_path_factory.mktemp("subdirectory"),
        repository,
        SNNFP_SOURCE=repository,
        SNNFP_OPENMP=request.param,
        CMAKE_BUILD_TYPE="Debug",
    )
    return program, request.param == "ON"
