"""The documentation site: ``sphinx-build -W docs build/docs`` from the root of the repository."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "snnfp"
author = "The snnfp developers"
copyright = author
release = re.search(
    r"project\(snnfp VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
)[1]

extensions = [
    *("myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"),
    *("cpp_headers", "pictures"),
]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"snnfp {release}"
html_theme_options = {"source_edit_link": "", "top_of_page_buttons": []}
html_copy_source = False
templates_path: list[str] = []
exclude_patterns = ["_ext", "_pictures", "gallery"]
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",  # made by the build
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("gallery_figures",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "capture_repr": (),
    "remove_config_comments": True,
}
# Packages of adapters: the reference is made without them.
autodoc_mock_imports = ["torch", "jax"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88
cpp_maximum_signature_line_length = 100
autodoc_type_aliases = {
    name: name
    for name in (
        *(
            "ArrayLike",
            "Bounds",
            "Data",
            "DTypeLike",
            "FirstSpikeFn",
            "InitialState",
            "InputSpikes",
        ),
        *("LossFunction", "ProbeRequest", "Schedule", "Selection", "SpikeTimeFn"),
    )
}
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_use_ivar = True

# Pages that stand elsewhere in the repository: read from there, so that there is one copy.
ELSEWHERE = {
    "index": "README.md",
    "equations": "cpp/MATH.md",
    "results": "bench/RESULTS.md",
    "contributing": "CONTRIBUTING.md",
    "changes": "CHANGELOG.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def _relink(text: str, place: str) -> str:
    """Links between files of the repository, as links between pages of the site.

    Args:
        text: of a page.
        place: where the page stands in the repository.
    """
    pages = {f"docs/{p.name}": p.name for p in DOCS.glob("*.md")}
    pages |= {f"docs/api/{p.name}": f"api/{p.name}" for p in DOCS.glob("api/*.rst")}
    pages |= {file: f"{name}.md" for name, file in ELSEWHERE.items()}

    def moved(link: re.Match[str]) -> str:
        mark, label, target, part = link[1], link[2], link[3], link[4] or ""
        file = normpath(f"{Path(place).parent.as_posix()}/{target}")
        if file in pages:
            return f"[{label}]({pages[file]}{part})"
        there = relpath(file, "docs")
        return f"![{label}]({there})" if mark else f"{{download}}`{label} <{there}>`"

    return _LINK.sub(moved, text)


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname in ELSEWHERE:
        app.env.note_dependency(str(ROOT / ELSEWHERE[docname]))
        page = (ROOT / ELSEWHERE[docname]).read_text(encoding="utf-8")
        if docname == "results":  # two runs, one after the other: one page has one title
            first, *more = re.split(r"^(?=# )", page, flags=re.MULTILINE)[1:]
            page = first + "".join(re.sub(r"^#", "##", m, flags=re.MULTILINE) for m in more)
        beside = source[0] if docname == "index" else ""  # the table of contents
        source[0] = f"{_relink(page, ELSEWHERE[docname])}\n{beside}"
    elif (DOCS / f"{docname}.md").is_file():
        source[0] = _relink(source[0], f"docs/{docname}.md")


def _short(app: Sphinx, *described: Any) -> tuple[str | None, str | None]:
    """Aliases by name in signatures: Sphinx wraps them within a union, and writes NDArray out."""

    def short(text: str | None) -> str | None:
        text = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text or "")
        array = r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]"
        return re.sub(array, r"NDArray[\1]", text) or None

    signature, returned = described[-2:]
    return short(signature), short(returned)


def setup(app: Sphinx) -> None:
    """Connects the pages that stand elsewhere."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _short)
