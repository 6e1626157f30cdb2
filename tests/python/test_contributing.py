"""CONTRIBUTING.md names the files that a new thing touches: all of them, and no others."""

import re

import pytest

# What only those files say that know the thing: in C++, and in Python.
WORDS = {
    "A neuron parameter": (r"\bcapacitance\b|\bNeuronParameter::", r"\bcapacitance\b"),
    "A projection": (r"\bConnectivity::|one_to_one\b", r"one_to_one\b|\bOneToOne\b"),
    "What synapses share": (r"\bweight_of\b", r"\bweight_of\b"),
    "A kind of delay": (
        r"\b(?:DelayPer|delay_per|arrives_at_once)\b",
        r"\b(?:DelayPer|PerSource|delay_shapes)\b",
    ),
    "A readout": (
        r"\bReadoutValue\b",
        r"\b(?:readout_of|output_of)\(|\b(?:FirstSpikeLoss|ReadoutLoss|ReadoutValue)\b",
    ),
    "A neuron model": (r"\b(?:alpha|beta|inv_c|kappa)\b", r"\bNEURON_PARAMETERS\b|: LIF\b"),
}
SEARCHED = ("cpp/include", "cpp/src", "bindings", "python/snnfp")
ENDINGS = (".hpp", ".h", ".cpp", ".py", ".pyi")


@pytest.fixture(scope="module")
def sections(repository):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.split(r"^### (.*)$", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.fixture(scope="module")
def sources(repository):
    """The text of every source file by its path in the repository."""
    files = (f for root in SEARCHED for f in (repository / root).rglob("*"))
    return {
        str(f.relative_to(repository)): f.read_text(encoding="utf-8")
        for f in files
        if f.suffix in ENDINGS
    }


def named(section):
    return re.findall(r"`([\w./-]+/[\w.-]+)`", section)


def test_sections(sections):
    assert set(WORDS) <= set(sections)


@pytest.mark.parametrize("title", WORDS)
def test_paths_exist(repository, sections, title):
    paths = named(sections[title])
    assert paths and len(paths) == len(set(paths))
    assert [p for p in paths if not (repository / p).exists()] == []


@pytest.mark.parametrize("title", WORDS)
def test_no_other_file_knows_of_it(sections, sources, title):
    cpp, python = WORDS[title]
    found = {
        path
        for path, text in sources.items()
        if re.search(python if path.startswith("python") else cpp, text)
    }
    known = {p for p in named(sections[title]) if p in sources}
    assert found - known == set(), f"{title}: these are missing in CONTRIBUTING.md"
    assert known - found == set(), f"{title}: these have nothing to do with it"
