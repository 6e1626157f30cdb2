"""Modules of the package depend on each other in one direction, and say so at their beginning."""

import ast
import graphlib

import pytest


def modules(repository):
    """The parsed modules of the package, by name."""
    root = repository / "python"
    found = {}
    for file in (root / "snnfp").rglob("*.py"):
        parts = file.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    assert len(found) > 40
    return found


def imported(node, known):
    """What an import statement names: modules of the package as such, not their parents."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert not node.level, f"line {node.lineno}: a relative import"
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return [m if m in known or m == "snnfp._core" else node.module for m in inner]


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree, known):
    """(module, line, inside a function) of each import that is run."""
    found = []

    def visit(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                found.extend((m, child.lineno, inside) for m in imported(child, known))
            if not is_for_types(child):
                visit(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda))

    visit(tree, False)
    return found


def circle(graph):
    """The modules of a circle of imports, if there is one."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def graph_of(trees):
    return {
        name: {m for m, _, _ in imports(tree, trees) if m in trees and m != name}
        for name, tree in trees.items()
    }


def test_no_circle_of_imports(repository):
    """Those inside functions count too."""
    graph = graph_of(modules(repository))
    assert sum(map(len, graph.values())) > 200
    assert circle(graph) is None


def test_no_import_inside_a_function(repository):
    """Optional packages come through snnfp.errors.require; all else is cheap to import."""
    trees = modules(repository)
    inside = [
        f"{name}, line {line}: {module}"
        for name, tree in trees.items()
        for module, line, in_function in imports(tree, trees)
        if in_function
    ]
    assert not inside


@pytest.mark.parametrize("where", ["", "def f():\n    "])
def test_a_circle_would_be_found(repository, where):
    trees = modules(repository)
    back = ast.parse(f"{where}from snnfp import simulate")
    trees["snnfp.record"].body += back.body
    found = circle(graph_of(trees))
    assert "snnfp.record" in found and "snnfp.simulate" in found
    assert [m for m, _, inside in imports(back, trees)] == ["snnfp.simulate"]
    assert [inside for _, _, inside in imports(back, trees)] == [bool(where)]
