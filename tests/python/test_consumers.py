"""What ships, consumed as users do: an installed package, a subproject, without OpenMP."""

from __future__ import annotations

import re

from cpp_build import configure, consume, run
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


# What a program can call, by the precision where there are two.
INTERFACE = (
    *("isa_name(", "resolve_isa(", "typeinfo for snnfp::EventLimitError"),
    *("Network<{}>::add_population(", "Network<{}>::connect_sparse(", "single_sample<{}>("),
    *("simulate<{}>(", "record_from_spikes<{}>(", "restore<{}>(", "probe<{}>(", "layout<{}>("),
    *("vjp<{}>(", "jvp<{}>(", "forward_gradient<{}>(", " jacobian<{}>(", "Jacobian<{}>::solve("),
)


def test_shared_library(shared_library, repository, tmp_path):
    """It exports its interface, all of it and nothing else, and a program runs with it."""
    (library,) = shared_library.rglob("libsnnfp.so")
    exported = run("nm", "--dynamic", "--demangle", "--defined-only", library, timeout=60)
    exported = exported.replace("snnfp::", "").replace("std::__cxx11::", "std::")
    for name in INTERFACE:
        for real in ("float", "double") if "{}" in name else ("",):
            wanted = name.replace("snnfp::", "").format(real)
            assert re.search(rf"\b{re.escape(wanted.strip())}", exported), wanted
    inside = [line for line in exported.splitlines() if re.search(r" [TWBDRV] detail::", line)]
    assert inside == []
    program = consume("find_package", tmp_path, repository, CMAKE_PREFIX_PATH=shared_library)
    _, expected = output_after(repository / "README.md", "cpp")
    assert run(program, timeout=60) == expected
    assert b"libsnnfp.so.0.1" in program.read_bytes()


def test_what_looks_inside_is_not_built_with_a_shared_library(repository, tmp_path):
    for part in ("SNNFP_TESTS", "SNNFP_BENCH", "SNNFP_PYTHON"):
        printed = configure(
            repository, tmp_path / part, check=False, BUILD_SHARED_LIBS="ON", **{part: "ON"}
        )
        assert "build them with BUILD_SHARED_LIBS=OFF" in " ".join(printed.split())


def test_installed_headers_stand_alone(cpp_library):
    """Nothing of Python, and nothing that is not installed beside them."""
    root = cpp_library.prefix / "include"
    headers = sorted(root.rglob("*.hpp"))
    names = {str(h.relative_to(root)) for h in headers}
    assert {"snnfp/snnfp.hpp", "snnfp/version.hpp", "snnfp/model/crossing.hpp"} <= names
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
