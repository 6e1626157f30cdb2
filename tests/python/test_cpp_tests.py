"""The C++ tests, built and run from here."""

from __future__ import annotations

import pytest
from cpp_build import configure, run, tool


def test_cpp_tests_pass(cpp_library):
    if cpp_library.no_doctest:
        pytest.skip(cpp_library.no_doctest)
    printed = run(tool("ctest"), "--test-dir", cpp_library.folder, "--output-on-failure")
    assert "100% tests passed" in printed, printed


def test_missing_doctest_is_named(repository, tmp_path):
    """What the skip of the test above rests on."""
    printed = configure(
        repository,
        tmp_path,
        check=False,
        SNNFP_TESTS="ON",
        CMAKE_DISABLE_FIND_PACKAGE_doctest="ON",
    )
    printed = " ".join(printed.split())  # cmake breaks lines
    assert "doctest is not installed" in printed
    assert "apt install doctest-dev" in printed
