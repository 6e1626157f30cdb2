"""What ships, consumed as users do: an installed package, a subproject, without OpenMP."""

from __future__ import annotations

import re

from cpp_build import run
from pages import output_after

RUNTIMES = (b"libgomp", b"libomp", b"libiomp")


def test_find_package(installed_example, repository):
    _, expected = output_after(repository / "README.md", "cpp")
    assert run(installed_example, timeout=60) == expected


def test_subdirectory(subdirectory_example, repository):
    program, openmp = subdirectory_example
    _, expected = output_after(repository / "README.md", "cpp")
    assert run(program, timeout=60) == expected
    linked = program.read_bytes()
    assert any(name in linked for name in RUNTIMES) == openmp


def test_installed_headers_stand_alone(cpp_library):
    """Nothing of Python, and nothing that is not installed beside them."""
    root = cpp_library.prefix / "include"
    headers = sorted(root.rglob("*.hpp"))
    names = {str(h.relative_to(root)) for h in headers}
    assert {"snnfp/snnfp.hpp", "snnfp/version.hpp", "snnfp/detail/crossing.hpp"} <= names
    for header in headers:
        text = header.read_text(encoding="utf-8")
        assert not re.search(r"Python\.h|pybind11|numpy|PyObject", text), header
        for included in re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', text, re.MULTILINE):
            standard = "/" not in included and not included.endswith(".hpp")
            assert standard or included in names, f"{header} includes {included}"
        if "parallel" not in header.name:
            assert "#pragma omp" not in text, header


def test_package_says_its_version(cpp_library, repository):
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    version = re.search(r"project\(snnfp VERSION ([0-9.]+)", text)[1]
    config = next(cpp_library.prefix.rglob("snnfpConfigVersion.cmake")).read_text(encoding="utf-8")
    assert f'PACKAGE_VERSION "{version}"' in config
