"""README.md: its code runs and prints what the page shows, its commands exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snnfp.cli
from cpp_build import run
from pages import blocks, output_after

COMMANDS = (
    "python -m pip install '.[train]' && snnfp train yin-yang",
    "python -m pip install '.[test]' && pytest",
)


@pytest.fixture
def page(repository: Path) -> Path:
    return repository / "README.md"


def test_python_example(page, tmp_path):
    """Ten lines, in a fresh interpreter, pasted as they stand."""
    code, expected = output_after(page, "python")
    assert sum(bool(line.strip()) for line in code.text.splitlines()) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code.text],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (expected, "")


def test_cpp_example_is_the_file(page, repository):
    code, _ = output_after(page, "cpp")
    file = repository / "cpp" / "examples" / "first_gradient.cpp"
    assert code.text == file.read_text(encoding="utf-8")
    assert len(code.text.splitlines()) <= 15


def test_cpp_example_prints_what_is_shown(page, installed_example):
    """The other consumers are held against the same output in test_consumers.py."""
    _, expected = output_after(page, "cpp")
    assert run(installed_example, timeout=60) == expected


def test_the_two_commands_are_what_ci_runs(page, repository):
    shown = [b.text.strip() for b in blocks(page) if b.language == "sh"]
    assert shown == list(COMMANDS)
    script = (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in script if line in COMMANDS] == list(COMMANDS)


def _table(page: Path) -> list[str]:
    rows = re.findall(r"^\| .* \| `(.*)` \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 15
    return rows


def test_commands_of_the_table_parse(page, capsys):
    """Every ``snnfp`` command, with its help in place of the work."""
    ours = [row.split()[1:] for row in _table(page) if row.startswith("snnfp ")]
    assert len(ours) >= 8
    for arguments in ours:
        with pytest.raises(SystemExit) as stopped:
            snnfp.cli.main([*arguments, "--help"])
        assert stopped.value.code == 0, arguments
    assert "usage: snnfp train yin-yang" in capsys.readouterr().out


def test_presets_of_the_table_exist(page, repository):
    presets = json.loads((repository / "CMakePresets.json").read_text(encoding="utf-8"))
    kinds = {"--workflow --preset": "workflowPresets", "--build --preset": "buildPresets"}
    kinds["--preset"] = "configurePresets"
    seen = 0
    for row in _table(page):
        for how, name in re.findall(r"cmake ((?:--\w+ )?--preset) ([\w-]+)", row):
            assert name in [p["name"] for p in presets[kinds[how]]], row
            seen += 1
    assert seen >= 5
