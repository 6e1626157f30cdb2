"""The documentation site: built as its one command builds it, warnings being errors."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import snnfp
from test_docs import MAIN_CLASSES, ROOT, public_members, public_names

COMMAND = ("sphinx-build", "-W", "docs", "build/docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    needed = ("sphinx", "myst_parser", "furo", "clang", "sphinx_gallery")
    missing = [m for m in needed if not _installed(m)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *COMMAND[1:-1],
        "-d",
        folder / "cache",
        folder / "html",
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "WARNING" not in done.stderr
    return folder / "html"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def test_the_command_is_written_down():
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"`{' '.join(COMMAND)}`" in (ROOT / page).read_text(encoding="utf-8"), page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag, attrs):
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.targets.append(value)
            elif key == "id":
                self.ids.add(value)


def _parsed(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def test_every_link_of_the_site_leads_somewhere(site):
    pages = {p: _parsed(p) for p in site.rglob("*.html")}
    assert len(pages) >= 20
    seen = 0
    for page, links in pages.items():
        for target in links.targets:
            if re.match(r"[a-z]+:", target):
                assert target.startswith(("https://", "data:")), (page, target)
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / unquote(path.split("?")[0])).resolve() if path else page
            assert there.exists(), (page, target)
            if anchor and there in pages:
                assert unquote(anchor) in pages[there].ids, (page, target)
            seen += 1
    assert seen > 1000


def test_no_page_asks_the_network(site):
    """Read without a network: no font, script or picture of elsewhere."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert loaded == [], page


@pytest.fixture(scope="module")
def inventory(site) -> dict[str, str]:
    """Name and kind of everything that the reference describes."""
    data = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(data.split(b"\n", 4)[4]).decode().splitlines()
    return {name: kind for name, kind, *_ in (line.split() for line in lines)}


def test_everything_public_is_in_the_reference(inventory):
    wanted = [f"snnfp.{n}" for n in public_names() if n != "__version__"]
    wanted += [f"snnfp.{c.__name__}.{n}" for c in MAIN_CLASSES for n in public_members(c)]
    assert [n for n in wanted if n not in inventory] == []


def test_adapters_are_in_the_reference(inventory):
    """Of those that docs/conf.py names, made without the packages that they adapt to."""
    wanted = ["snnfp.torch.SNNModule", "snnfp.torch.SNNModule.network", "snnfp.torch.collate"]
    wanted += ["snnfp.jax.SNNFunction", "snnfp.jax.SNNFunction.parameters", "snnfp.jax.padded"]
    wanted += ["snnfp.sklearn.SNNClassifier.partial_fit", "snnfp.sklearn.SNNRegressor.fit"]
    assert [n for n in wanted if n not in inventory] == []


def test_public_headers_are_in_the_reference(inventory):
    """Whatever the public headers compile for both precisions, and every class they define."""
    headers = sorted((ROOT / "cpp" / "include" / "snnfp").glob("*.hpp"))
    text = "\n".join(h.read_text(encoding="utf-8") for h in headers)
    text = re.sub(r"namespace detail \{.*?\n\}", "", text, flags=re.DOTALL)
    declared = set(re.findall(r"^ *EXTERN template [^(;]*?(\w+)(?=[(<]const|<Real>;)", text, re.M))
    kinds = "struct|class|enum class"
    declared |= set(re.findall(rf"^(?:{kinds}) (?:SNNFP_EXPORT )?(\w+)", text, re.MULTILINE))
    assert {"vjp", "jacobian", "simulate", "Network", "Record", "Isa"} <= declared
    assert [n for n in sorted(declared) if f"snnfp::{n}" not in inventory] == []


def test_front_is_the_readme(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "pip<" in text or "pip install" in text
    for title in re.findall(r"^## (.*)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        assert title in text


def test_version(site):
    assert snnfp.__version__ in (site / "index.html").read_text(encoding="utf-8")
