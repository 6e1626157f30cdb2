"""``.. cpp-headers::`` writes what the public headers declare, with their comments.

libclang reads the headers, so that nothing is listed that a compiler would not see. A declaration
is shown as it is written, without its body; its text is the comment right above it or behind it
on its line.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clang.cindex as clang
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

INCLUDE = Path(__file__).resolve().parents[2] / "cpp" / "include"

_RECORDS = ("STRUCT_DECL", "CLASS_DECL", "CLASS_TEMPLATE")
_FUNCTIONS = ("FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR")
_ALIASES = ("TYPE_ALIAS_DECL", "TYPE_ALIAS_TEMPLATE_DECL")


def _builtin_headers() -> list[str]:
    """Where stddef.h and its like are, which libclang's wheel does not bring."""
    try:
        found = subprocess.run(
            ["g++", "-print-file-name=include"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return [f"-isystem{found.stdout.strip()}"]


def parse(header: str) -> clang.TranslationUnit:
    """The header, as a compiler of C++17 sees it."""
    options = ["-xc++", "-std=c++17", f"-I{INCLUDE}", *_builtin_headers(), "-fparse-all-comments"]
    return clang.Index.create().parse(str(INCLUDE / header), args=options)


def _text(cursor: Any) -> str:
    """The declaration as written, on one line; without what is for the linker."""
    source = Path(cursor.location.file.name).read_bytes()
    written = source[cursor.extent.start.offset : cursor.extent.end.offset].decode()
    return " ".join(re.sub(r"//[^\n]*|\bSNNFP_EXPORT\b", "", written).split())


def _without_body(text: str) -> str:
    """Up to the body; braces of a default argument stand within parentheses."""
    depth = 0
    for k, c in enumerate(text):
        depth += (c in "(<") - (c in ")>")
        if depth <= 0 and (c == "{" or re.match(r":\s+\w+[({]", text[k:])):
            return text[:k].strip()
    return text.rstrip(";")


def _comment(cursor: Any) -> str:
    """The comment as reStructuredText."""
    lines = [re.sub(r"^\s*//\s?", "", line) for line in (cursor.raw_comment or "").splitlines()]
    parts = re.split(r"(`[^`]*`)", "\n".join(lines))
    return "".join(f"`{p}`" if p[:1] == "`" else re.sub(r"([*|_\\])", r"\\\1", p) for p in parts)


def _directive(kind: str, signature: str, cursor: Any, *members: str) -> str:
    inside = "\n\n".join(part for part in (_comment(cursor), *members) if part)
    return f".. cpp:{kind}:: {signature}\n\n" + textwrap.indent(inside, "   ") + "\n"


def _public(cursor: Any) -> Iterator[Any]:
    file = cursor.translation_unit.spelling
    for child in cursor.get_children():
        name = child.location.file.name if child.location.file else ""
        if name == file and child.access_specifier.name not in ("PRIVATE", "PROTECTED"):
            yield child


def describe(cursor: Any) -> Iterator[str]:
    """Directives of the C++ domain for what a namespace or class declares."""
    for child in _public(cursor):
        kind, text = child.kind.name, _text(child)
        if kind == "NAMESPACE":
            if child.spelling != "detail":
                yield from describe(child)
        elif kind in _RECORDS:
            if child.is_definition() and "{" in text:
                head = re.sub(r"\b(struct|class) (?=\w+( :|$))", "", _without_body(text), count=1)
                what = "class" if re.search(r"(^|> )class \w+$", _without_body(text)) else "struct"
                yield _directive(what, head, child, *describe(child))
        elif kind == "ENUM_DECL":
            values = (c for c in child.get_children() if c.kind.name == "ENUM_CONSTANT_DECL")
            members = (_directive("enumerator", c.spelling, c) for c in values)
            yield _directive("enum-class", child.spelling, child, *members)
        elif kind in _FUNCTIONS:
            yield _directive("function", _without_body(text), child)
        elif kind == "FIELD_DECL":
            text = re.sub(r"^enum class (\w+) \{.*\} ", r"\1 ", text)
            text = re.sub(r"^(.*?[>\w&*]) (?:\w+, )+(\w+.*)$", r"\1 \2", text)  # one of several
            yield _directive("member", text, child)
        elif kind == "VAR_DECL":
            yield _directive("var", text.split(" = ")[0], child)
        elif kind in _ALIASES:
            yield _directive("type", text.replace("using ", "", 1), child)


def public_headers(header: str = "snnfp/snnfp.hpp") -> list[str]:
    """Those that a header brings, what it needs before it; the version is made by CMake."""
    text = (INCLUDE / header).read_text(encoding="utf-8")
    found: list[str] = []
    for included in re.findall(r'#include "(snnfp/\w+\.hpp)"', text):
        if included != "snnfp/version.hpp":
            found += [h for h in (*public_headers(included), included) if h not in found]
    return found


def section(header: str) -> str:
    """A section in reStructuredText: what the header says of itself, then what it declares."""
    text = (INCLUDE / header).read_text(encoding="utf-8")
    first = re.search(r"#pragma once\n((?://.*\n)+)", text)
    about = re.sub(r"^//\s?", "", first[1], flags=re.MULTILINE) if first else ""
    name = header.removeprefix("snnfp/")
    declared = "\n".join(describe(parse(header).cursor))
    return f"{name}\n{'-' * len(name)}\n\n{about}\n.. cpp:namespace:: snnfp\n\n{declared}\n"


class CppHeaders(SphinxDirective):
    """The directive: a section a public header."""

    def run(self) -> list[nodes.Node]:
        for header in public_headers():
            self.env.note_dependency(str(INCLUDE / header))
        text = "\n".join(map(section, public_headers())) + "\n.. cpp:namespace:: 0\n"
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, StringList(text.splitlines(), source="headers"), node)
        return list(node.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the directive."""
    app.add_directive("cpp-headers", CppHeaders)
    return {"parallel_read_safe": True}
