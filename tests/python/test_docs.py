"""The documentation's pages: their code runs and prints what they show, their links lead somewhere,
and whatever is public is mentioned in one of them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snnfp
from cpp_build import build, configure, run
from pages import blocks, check_python

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("cpp/*.md"))
    if page.is_file()
)
GUIDES = [p for p in sorted(ROOT.glob("docs/*.md")) if any(b.language for b in blocks(p))]
WITH_PYTHON = [p for p in GUIDES if any(b.language == "python" for b in blocks(p))]
# What a page's code needs beside the extras [train] and [test].
NEEDS = {
    "your-own-data.md": ("sklearn", "scikit-learn is not installed: pip install scikit-learn"),
    "nir.md": ("nir", "nir is not installed: pip install 'snnfp[nir]'"),
    "neo.md": ("elephant", "elephant is not installed: pip install 'snnfp[neo]' elephant"),
    "sklearn.md": ("sklearn", "scikit-learn is not installed: pip install scikit-learn"),
    "jax.md": ("optax", "JAX or optax is not installed: pip install jax optax"),
    "torch.md": ("torch", "PyTorch is not installed: pip install 'snnfp[torch]'"),
}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=_name)
def test_python_blocks(page, tmp_path, monkeypatch):
    if page.name in NEEDS:
        module, reason = NEEDS[page.name]
        pytest.importorskip(module, reason=reason)
    monkeypatch.chdir(tmp_path)
    assert check_python(page) >= 1
    # What the site shows as pictures is drawn by the page's own code.
    for picture in re.findall(r"\]\(_pictures/([^)]+)\)", page.read_text(encoding="utf-8")):
        assert (tmp_path / picture).stat().st_size > 5000, picture


def test_a_wrong_output_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:1 prints something else"):
        check_python(page)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith(("https://", "_pictures/")):
            assert (page.parent / target).exists(), target


# -- the C++ guide -------------------------------------------------------------------------------

CPP = ROOT / "docs" / "cpp.md"


def _cmake(how: str) -> str:
    return next(b.text for b in blocks(CPP) if b.language == "cmake" and how in b.text)


def test_cpp_programs(cpp_library, tmp_path):
    """Each program of the C++ guide, in the project that the guide shows."""
    (tmp_path / "CMakeLists.txt").write_text(_cmake("find_package"))
    (tmp_path / "main.cpp").write_text("int main() {}\n")
    folder = tmp_path / "build"
    configure(tmp_path, folder, CMAKE_PREFIX_PATH=cpp_library.prefix)
    found = blocks(CPP)
    programs = [(b, after) for b, after in zip(found, found[1:]) if b.language == "cpp"]
    assert len(programs) >= 6
    for program, after in programs:
        assert after.language == "text", f"cpp.md:{program.line} shows no output"
        (tmp_path / "main.cpp").write_text(program.text)
        build(folder)
        assert run(folder / "simulator", timeout=60) == after.text, f"cpp.md:{program.line}"


def test_cpp_as_a_folder(tmp_path):
    """Configured here; built by test_consumers.py."""
    (tmp_path / "CMakeLists.txt").write_text(_cmake("add_subdirectory"))
    (tmp_path / "main.cpp").write_text("int main() {}\n")
    (tmp_path / "snnfp").symlink_to(ROOT)
    configure(tmp_path, tmp_path / "build")


# -- what is public is mentioned -----------------------------------------------------------------

SUBMODULES = (
    "augment",
    "data",
    "encoding",
    "errors",
    "heuristics",
    "init",
    "losses",
    "neo",
    "nir",
    "plots",
    "report",
    "remedies",
    "schedules",
    "testing",
    "transforms",
)
# Of these names the reference says enough: what only those who extend the library meet.
REFERENCE_ONLY = {
    "init.Initialiser",
    "remedies.Remedy",
    "schedules.Schedule",
    "schedules.check_schedule",
    "transforms.Transform",
    "transforms.check_transform",
    "losses.is_classes",
    "losses.output_of",
    "losses.readout_of",
    "losses.value_and_derivative",
    "errors.require",
    "data.MNIST",
    "data.NMNIST",
    "data.FSDD",
    "data.SHD",
    "__version__",
    "Network.fingerprint",
    "History.append",
}


def _code(page: Path) -> str:
    """What stands as code on a page: fenced blocks, indented ones and `spans`."""
    text = page.read_text(encoding="utf-8")
    return "\n".join(
        [b.text for b in blocks(page)]
        + re.findall(r"`([^`\n]+)`", text)
        + re.findall(r"^    .*$", text, re.MULTILINE)
    )


def public_names() -> list[str]:
    """``snnfp.__all__`` and that of each public submodule."""
    names = list(snnfp.__all__)
    for module in SUBMODULES:
        names += [f"{module}.{n}" for n in importlib.import_module(f"snnfp.{module}").__all__]
    return names


MAIN_CLASSES = (snnfp.Network, snnfp.Spikes, snnfp.Record, snnfp.History)


def public_members(cls: type) -> list[str]:
    """Methods and properties of a class, without what it inherits from outside."""
    mine = [c for c in cls.__mro__ if c.__module__.startswith("snnfp.")]
    return list(dict.fromkeys(n for c in mine for n in vars(c) if not n.startswith("_")))


@pytest.fixture(scope="module")
def all_code() -> str:
    return "\n".join(_code(p) for p in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))))


def test_every_public_name_is_in_a_guide(all_code):
    """In the reference everything is (test_site.py); what a user needs is in a written page too."""
    members = {f"{c.__name__}.{n}" for c in MAIN_CLASSES for n in public_members(c)}
    unknown = REFERENCE_ONLY - set(public_names()) - members
    assert not unknown, "these are no longer public: leave them out here"
    missing = [
        name
        for name in public_names()
        if name not in REFERENCE_ONLY
        and not re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", all_code)
    ]
    assert missing == []


@pytest.mark.parametrize("cls", MAIN_CLASSES, ids=lambda c: c.__name__)
def test_every_method_of_the_main_classes_is_in_a_guide(cls, all_code):
    names = [n for n in public_members(cls) if f"{cls.__name__}.{n}" not in REFERENCE_ONLY]
    assert [n for n in names if not re.search(rf"\b{n}\b", all_code)] == []


@pytest.mark.parametrize("function", [snnfp.fit, snnfp.simulate], ids=lambda f: f.__name__)
def test_every_option_is_in_a_guide(function, all_code):
    options = list(function.__kwdefaults__)
    assert len(options) >= 9
    assert [n for n in options if not re.search(rf"\b{n}\b", all_code)] == []


# -- the equations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "MATH.md"])
def test_files_named_by_the_library_exist(name):
    """Headers may be named without the folder they share."""
    text = (ROOT / "cpp" / name).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+(?:\.hpp|\.cpp|\.py|/))`", text))
    assert len(named) >= 10
    for path in named:
        places = (ROOT, ROOT / "cpp", ROOT / "cpp" / "include" / "snnfp")
        assert any((p / path).exists() for p in places), path


def test_equations_cited_are_written_down():
    math = (ROOT / "cpp" / "MATH.md").read_text(encoding="utf-8")
    written = [int(n) for n in re.findall(r"^\*\*E(\d+)\.", math, re.MULTILINE)]
    assert written == list(range(1, len(written) + 1)) and len(written) >= 15
    cited = set()
    for file in (ROOT / "cpp").rglob("*.hpp"):
        for first, last in re.findall(r"\bE(\d+)(?:-E(\d+))?\b", file.read_text(encoding="utf-8")):
            cited |= set(range(int(first), int(last or first) + 1))
    assert cited == set(written)


# -- what things cost ----------------------------------------------------------------------------


def test_rows_of_the_cost_table_are_the_benchmark_s():
    """The numbers are one machine's; what they are of must be what the command measures."""
    command = [sys.executable, "-m", "bench.costs", "--repeats", "1"]
    printed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    row = re.compile(r"^\| (.*?) \| (\d+) \| ", re.MULTILINE)
    measured = row.findall(printed)
    shown = row.findall((ROOT / "docs" / "costs.md").read_text(encoding="utf-8"))
    assert len(measured) >= 10
    assert shown == measured
