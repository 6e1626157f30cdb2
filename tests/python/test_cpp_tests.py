"""The C++ tests, built and run from here."""

from __future__ import annotations

import pytest
from cpp_build import configure, run, tool


def test_cpp_tests_pass(cpp_library):
    if cpp_library.no_doctest:
        pytest.skip(cpp_library.no_doctest)
    printed = run(tool("ctest"), "--test-dir", cpp_library.folder, "--output-on-failure")
    assert "100% tests passed" in printed, printed


def configured(repository, folder, **cache):
    """What cmake prints where doctest is not installed; it breaks lines, these are joined."""
    printed = configure(
        repository,
        folder,
        check=False,
        SNNFP_TESTS="ON",
        CMAKE_DISABLE_FIND_PACKAGE_doctest="ON",
        **cache,
    )
    return " ".join(printed.split())


def test_missing_doctest_is_named(repository, tmp_path, monkeypatch):
    """What the skip of the test above rests on: no doctest, and no network to get it from."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    printed = configured(repository, tmp_path)
    assert "doctest is not installed" in printed
    assert "could not be downloaded" in printed
    assert "apt install doctest-dev" in printed


def test_missing_doctest_is_downloaded(repository, tmp_path):
    """Instead of the network, a folder such as the archive holds."""
    header = tmp_path / "archive" / "doctest" / "doctest.h"
    header.parent.mkdir(parents=True)
    header.write_text("#pragma once\n")
    printed = configured(
        repository, tmp_path / "build", FETCHCONTENT_SOURCE_DIR_DOCTEST=header.parents[1]
    )
    assert "Generating done" in printed, printed
    commands = (tmp_path / "build" / "build.ninja").read_text()
    assert f"-isystem {header.parents[1]}" in commands or f"-I{header.parents[1]}" in commands
