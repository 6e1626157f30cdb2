"""The documentation's pages: their code runs and prints what they show, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import check_python

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("cpp/*.md"))
    if page.is_file()
)
GUIDES = sorted(ROOT.glob("docs/*.md"))


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", GUIDES, ids=_name)
def test_python_blocks(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_python(page) >= 1


def test_a_wrong_output_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:1 prints something else"):
        check_python(page)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


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
    assert written == list(range(1, 15))
    cited = set()
    for file in (ROOT / "cpp").rglob("*.hpp"):
        for first, last in re.findall(r"\bE(\d+)(?:-E(\d+))?\b", file.read_text(encoding="utf-8")):
            cited |= set(range(int(first), int(last or first) + 1))
    assert cited == set(written)
