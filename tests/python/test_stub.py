"""python/snnfp/_core.pyi says of the compiled module what pybind11 says of it, and no more."""

import ast
import copy
import enum
import re

import numpy as np
import pytest
from snnfp import _core

REALS = ("float32", "float64")
# Of classes that are written once for both precisions.
GENERIC = re.compile(r"\b(Network|Record|Slot)Float(32|64)(Jacobian)?\b")


def generic_name(match):
    kind, bits, jacobian = match.groups()
    return f"{'_Jacobian' if jacobian else '_' + kind}[float{bits}]"


@pytest.fixture(scope="module")
def stub(repository):
    return Stub((repository / "python/snnfp/_core.pyi").read_text(encoding="utf-8"))


class Stub:
    """The stub's names with their signatures, both precisions written out."""

    def __init__(self, text):
        self.enums, self.variables, self.functions, self.classes = {}, set(), {}, {}
        self.aliases, self.templates = {}, {}
        for node in ast.parse(text).body:
            if isinstance(node, ast.AnnAssign):
                self.variables.add(node.target.id)
            elif isinstance(node, ast.Assign):
                self.assigned(node.targets[0].id, node.value)
            elif isinstance(node, ast.FunctionDef):
                signatures = [self.signature(node, real) for real in REALS]
                self.functions[node.name] = sorted(set(signatures))
            elif isinstance(node, ast.ClassDef):
                self.defined(node)

    def assigned(self, name, value):
        if isinstance(value, ast.Call) and value.func.id == "Enum":
            self.enums[name] = ast.literal_eval(value.args[1])
        else:
            self.aliases[name] = value

    def defined(self, node):
        base = ast.unparse(node.bases[0]) if node.bases else ""
        if base == "Enum":
            self.enums[node.name] = {
                line.targets[0].id: ast.literal_eval(line.value) for line in node.body
            }
        elif base == "Generic[_Real]":
            self.templates[node.name] = node
        elif base:
            template, real = re.fullmatch(r"(\w+)\[np\.(\w+)\]", base).groups()
            self.classes[node.name] = self.members(self.templates[template], real)
        else:
            self.classes[node.name] = self.members(node, REALS[0])

    def members(self, node, real):
        found = {}
        for function in node.body:
            signature = self.signature(function, real)
            is_property = any(ast.unparse(d) == "property" for d in function.decorator_list)
            found[function.name] = signature.rpartition(" -> ")[2] if is_property else signature
        return found

    def signature(self, function, real):
        function = copy.deepcopy(function)
        for argument in [*function.args.posonlyargs, *function.args.args]:
            argument.annotation = self.plain(argument.annotation, real)
        function.returns = self.plain(function.returns, real)
        return signature(function)

    def plain(self, annotation, real):
        """A type without aliases, for one precision."""
        if annotation is None:
            return None
        aliases = self.aliases

        class Plain(ast.NodeTransformer):
            def visit_Name(self, node):
                if node.id == "_Real":
                    return ast.Name(real)
                return self.visit(copy.deepcopy(aliases[node.id])) if node.id in aliases else node

            def visit_Attribute(self, node):
                return ast.Name(node.attr)

            def visit_Subscript(self, node):
                if isinstance(node.value, ast.Name) and node.value.id in aliases:
                    return self.visit(node.value)
                return self.generic_visit(node)

        return Plain().visit(annotation)


def signature(function):
    """Names and types of the arguments but the first of a method, and what is returned."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    given = [ast.unparse(a) for a in arguments if a.arg != "self"]
    return f"({', '.join(given)}) -> {ast.unparse(function.returns)}"


def told(doc):
    """The signatures in a docstring of pybind11, in the words of the stub."""
    found = []
    for line in re.findall(r"^(?:\d+\. )?(?:\w+)?(\(.*\) -> .*)$", doc, re.MULTILINE):
        line = line.replace("typing.SupportsInt | typing.SupportsIndex", "int")
        line = line.replace("typing.SupportsFloat | typing.SupportsIndex", "float")
        line = re.sub(r"typing\.Annotated\[numpy\.typing\.ArrayLike, (.*?)\]", r"NDArray[\1]", line)
        line = GENERIC.sub(generic_name, line)
        line = re.sub(r"\b(snnfp\._core|numpy\.typing|numpy|collections\.abc)\.", "", line)
        if "*args" not in line:
            found.append(signature(ast.parse(f"def f{line}: ...").body[0]))
    return found


def same(ours, theirs):
    """Where pybind11 knows nothing of what is in a tuple, the stub may say it."""
    if re.search(r"\btuple\b(?!\[)", theirs):
        ours = re.sub(r"\btuple(\[.*\])", "tuple", ours)
    return ours == theirs


def public(names):
    return {n for n in names if not n.startswith("_")}


def test_names(stub):
    ours = {*stub.enums, *stub.variables, *stub.functions, *stub.classes}
    assert ours == public(vars(_core))
    assert all(isinstance(getattr(_core, name), str) for name in stub.variables)


def test_enumerations(stub):
    theirs = {n: e for n, e in vars(_core).items() if isinstance(e, enum.EnumMeta)}
    assert stub.enums == {n: {m.name: m.value for m in e} for n, e in theirs.items()}
    assert len(theirs) >= 6


def test_functions(stub):
    for name, ours in stub.functions.items():
        theirs = sorted(told(getattr(_core, name).__doc__))
        assert ours == theirs, name
    assert len(stub.functions["simulate"]) == 2


def test_classes(stub):
    checked = 0
    for name, ours in stub.classes.items():
        cls = getattr(_core, name)
        special = {n for n in ("__copy__", "__getstate__", "__setstate__") if n in vars(cls)}
        if vars(cls)["__init__"].__doc__.startswith("__init__"):  # else it is object's
            special.add("__init__")
        assert set(ours) == public(vars(cls)) | special, name
        for member, ours_of in ours.items():
            theirs = vars(cls)[member]
            if isinstance(theirs, property):
                (line,) = told(theirs.fget.__doc__)
                line = line.rpartition(" -> ")[2]
            else:
                (line,) = told(theirs.__doc__)
            assert same(ours_of, line), f"{name}.{member}: {ours_of}, but the module has {line}"
            checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    "was, now",
    [
        ("def silent(self, population: int) -> bool", "def silent(self, group: int) -> bool"),
        ("def silent(self, population: int) -> bool", "def silent(self, population: int) -> int"),
        ("rows: NDArray[np.int64]", "rows: NDArray[np.int32]"),
        ("    def ends(self) -> NDArray[_Real]: ...\n", ""),
        ("    engine: Engine,\n", "    engine: int,\n"),
        ("def default_threads() -> int: ...\n", ""),
        ("    avx2 = 2\n    avx512 = 3", "    avx512 = 2\n    avx2 = 3"),
        ('"drop": 1', '"delete": 1'),
    ],
)
def test_a_wrong_stub_would_be_found(repository, was, now):
    text = (repository / "python/snnfp/_core.pyi").read_text(encoding="utf-8")
    assert was in text
    wrong = Stub(text.replace(was, now))
    with pytest.raises((AssertionError, ValueError)):
        for check in (test_names, test_enumerations, test_functions, test_classes):
            check(wrong)


def test_numbers_do_not_pass_for_enumerations():
    for call in (lambda: _core.resolve_isa(0), lambda: _core.Execution(1, 0, False)):
        with pytest.raises(TypeError, match="incompatible"):
            call()
    with pytest.raises(TypeError, match="incompatible"):
        _core.NetworkFloat64().set_parameter(0, 0, np.zeros(1))
