"""The gate of a change asks what CONTRIBUTING.md says it does, in commands that a person can run."""

import json
import re
import tomllib

import pytest


@pytest.fixture(scope="module")
def style(repository):
    return (repository / ".ci" / "style").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told(repository):
    """What a person is told to run."""
    pages = (repository / name for name in ("README.md", "CONTRIBUTING.md"))
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def test_the_server_looks_at_the_form_first(repository):
    lines = (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines.index(".ci/style") < lines.index("python -m pip install '.[test]' && pytest")
    assert (repository / ".ci" / "style").stat().st_mode & 0o111


def test_every_tool_is_asked_and_of_one_release(repository, style):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = dict(r.split("==") for r in project["optional-dependencies"]["dev"])
    assert set(tools) == {"mypy", "ruff", "clang-format"}
    for tool in tools:
        assert re.search(rf"(^|\| xargs -0 ){tool}\b", style, re.MULTILINE), tool
    assert "clang-format --dry-run --Werror" in style
    assert "ruff check ." in style and "ruff format --check ." in style


def test_every_cpp_file_is_looked_at(repository, style):
    (roots,) = re.findall(r"^find (.*) \\\( -name '\*\.\[ch\]pp'", style, re.MULTILINE)
    files = [
        f.relative_to(repository)
        for pattern in ("*.cpp", "*.hpp", "*.h", "*.cc")
        for f in repository.rglob(pattern)
    ]
    ours = [f for f in files if f.parts[0] != "build" and not f.parts[0].startswith(".")]
    assert len(ours) > 90
    assert [f for f in ours if f.parts[0] not in roots.split()] == []
    looked_at = re.findall(r"-name '\*(\.[^']+)'", style)
    assert looked_at == [".[ch]pp", ".h"]
    assert [f for f in ours if f.suffix not in (".cpp", ".hpp", ".h")] == []


def test_steps_of_the_workflow_are_commands_for_people(repository, told):
    text = (repository / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    steps = [s for s in re.findall(r"^ +- run: (.*)$", text, re.MULTILINE) if "apt-get" not in s]
    presets = json.loads((repository / "CMakePresets.json").read_text(encoding="utf-8"))
    (chosen,) = re.findall(r"preset: \[(.*)\]", text)
    assert chosen.split(", ") == [p["name"] for p in presets["workflowPresets"]]
    steps += [f"cmake --workflow --preset {p}" for p in chosen.split(", ")]
    assert len(steps) == 11
    for step in steps:
        if "${{" not in step:
            assert step in told, step
