"""The golden cases through the public API: see tests/golden/README.md for what a red test means."""

import numpy as np
import pytest
from networks import GOLDEN
from snnfp.check import load_case, run_case, run_check, simulate_case

ULP = np.finfo(np.float64).eps


def test_all_cases_are_there():
    assert len(GOLDEN) == 9


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_double(path, mode):
    case = load_case(path)
    errors = run_case(case, mode)
    near_tangent = case.name == "near-tangent"
    factor = 1 / errors.min_slope if near_tangent else 1.0
    assert errors.pattern
    assert errors.times <= (1e-12 if near_tangent else 1e-14)
    assert errors.gradients <= 1e-12 * max(1.0, factor**2 if near_tangent else 1.0)
    assert errors.gradients <= 1e-9 * max(1.0, factor)


@pytest.mark.parametrize(
    "path", [p for p in GOLDEN if p.stem != "near-tangent"], ids=lambda p: p.stem
)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_float(path, mode):
    errors = run_case(load_case(path, np.float32), mode)
    assert errors.pattern
    assert errors.times <= 1e-4
    assert errors.gradients <= 1e-4


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_slopes(path):
    case = load_case(path)
    record = simulate_case(case)
    error = np.abs(record.slopes - case.slopes)
    assert np.all(error <= 1e-12 / case.slopes)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_as_exact_as_promised(path, mode):
    """Times to 4 ulp and each derivative to 1e-12, times the condition theta / (tau V').

    The condition of a spike is the largest of those up to it: what it hears may be as late as they are.
    """
    case = load_case(path)
    record = simulate_case(case)
    assert np.array_equal(record.neurons, case.neurons)
    values = case.net.parameters
    scale = values["neurons.threshold"] / values["neurons.tau_mem"]
    condition = np.maximum.accumulate(np.maximum(1.0, scale[case.neurons] / case.slopes))
    assert np.all(np.abs(record.times - case.times) <= 4 * np.spacing(case.times) * condition)
    gradient = record.vjp(case.coefficients, wrt=tuple(case.gradient), mode=mode)
    for name, expected in case.gradient.items():
        allowed = 1e-12 * condition.max() * np.where(expected == 0.0, 1.0, np.abs(expected))
        assert np.all(np.abs(gradient[name] - expected) <= allowed), name


def test_check_prints_every_case_and_counts_failures(tmp_path):
    lines = []
    assert run_check(GOLDEN, lines.append) == 0
    assert len(lines) == 1 + 2 * len(GOLDEN)
    assert all(line.endswith("ok") for line in lines[1:])
    wrong = GOLDEN[0].read_text().replace('"threshold": "', '"threshold": "1', 1)
    assert wrong != GOLDEN[0].read_text()
    (tmp_path / "wrong.json").write_text(wrong)
    lines.clear()
    assert run_check([tmp_path / "wrong.json"], lines.append) == 1
    assert lines[-1].endswith("FAILED")
