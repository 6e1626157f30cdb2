"""Golden cases made to hurt: a FormatError that names the place."""

import copy
import json
import re

import numpy as np
import pytest
from networks import GOLDEN
from snnfp.check import load_case
from snnfp.errors import FormatError
from test_hostile_files import flipped


def changed(case, path, value):
    """A copy of a case with another value at a place, or without it."""
    case = copy.deepcopy(case)
    *first, last = path
    part = case
    for key in first:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return json.dumps(case)


CASE = json.loads(GOLDEN[-1].read_text())  # recurrent
GOLDEN_CHANGES = [
    (("name",), None, "the key 'name' is missing"),
    (("name",), 5, "name is 5, expected text"),
    (("t_end",), "inf", "t_end is 'inf', expected a finite number"),
    (("t_end",), [], r"t_end is \[\], expected a number"),
    (("t_end",), 10**400, "t_end is 1000.* expected a number"),
    (("t_end",), True, "t_end is True, expected a number"),
    (("neurons",), "abc", "neurons is 'abc', expected a list"),
    (("neurons",), [], "expected 0 <= index < 0"),
    (("neurons", 1), 7, r"neurons\[1\] is 7, expected keys and values"),
    (("neurons", 1, "tau_mem"), None, r"the key 'tau_mem' of neurons\[1\] is missing"),
    (("neurons", 1, "tau_mem"), "nan", r"neurons\[1\].tau_mem is 'nan', expected a finite"),
    (("neurons", 1, "tau_mem"), "-1", r"neurons.tau_mem\[1\] is -1, expected a time"),
    (("inputs",), {}, "inputs is {}, expected a list"),
    (("inputs", 0), ["0.1"], r"inputs\[0\] has 1 entries, expected 2"),
    (("inputs", 0, 1), -1, r"inputs\[0\]\[1\] is -1, expected 0 <= index < 65536"),
    (("inputs", 0, 1), 2**31, r"inputs\[0\]\[1\] is 2147483648, expected 0 <= index < 65536"),
    (("inputs", 0, 1), 0.5, r"inputs\[0\]\[1\] is 0.5, expected an integer"),
    (("inputs", 0, 0), "-0.5", "-0.5"),
    (("synapses", 2, 0), "inputs", r"synapses\[2\]\[0\] is 'inputs', expected 'input' or"),
    (("synapses", 2, 1), 99999, r"synapses\[2\]\[1\] is 99999, expected 0 <= index <"),
    (("synapses", 2, 2), 99, r"synapses\[2\]\[2\] is 99, expected 0 <= index < 4"),
    (("synapses", 2, 3), "x", r"synapses\[2\]\[3\] is 'x', expected a number"),
    (("synapses", 2, 3), "1e999", r"synapses\[2\]\[3\] is '1e999', expected a finite number"),
    (("synapses", 2, 4), "-1", "delay"),
    (("spikes", 0, 0), "x", r"spikes\[0\]\[0\] is 'x', expected a number"),
    (("spikes", 0, 1), 4, r"spikes\[0\]\[1\] is 4, expected 0 <= index < 4"),
    (("spikes", 0), None, "loss_coefficients has 12 entries, expected 11"),
    (("loss_coefficients", 0), None, "loss_coefficients has 11 entries, expected 12"),
    (("gradient",), [], r"gradient is \[\], expected keys and values"),
    (("gradient", "wieght"), [], "the gradient is by 'wieght', expected one of: weight"),
    (("gradient", "weight", 0), None, "gradient.weight has 23 entries, expected 24"),
    (("gradient", "tau_mem", 0), "x" * 99, r"gradient.tau_mem\[0\] is 'x{59} ..., expected"),
    (("gradient", "input_time"), ["0"], "gradient.input_time has 1 entries, expected 6"),
]


@pytest.mark.parametrize("path, value, message", GOLDEN_CHANGES, ids=str)
def test_hostile_golden_cases(tmp_path, path, value, message):
    file = tmp_path / "case.json"
    file.write_text(changed(CASE, path, value))
    with pytest.raises(FormatError, match=rf"{re.escape(str(file))}.*{message}"):
        load_case(file)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not a text file"),
        (b"<html>404</html>", "is not JSON"),
        (b"NaN", "holds a float, expected the keys of a golden case"),
        (b"null", "holds a NoneType"),
        (b"[]", "holds a list"),
        (b"[" * 100_000, "is not JSON: maximum recursion depth"),
        (b'{"name": "a", "name": "b"}', "the key 'name' is there twice"),
        (b" " * (2**24 + 1), "has 16777217 bytes, expected a golden case of at most"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_foreign_golden_cases(tmp_path, data, message):
    (tmp_path / "case").write_bytes(data)
    with pytest.raises(FormatError, match=message):
        load_case(tmp_path / "case")


def test_flipped_golden_cases(tmp_path):
    whole, rng, refused = GOLDEN[-1].read_bytes(), np.random.default_rng(3), 0
    for _ in range(300):
        (tmp_path / "case").write_bytes(flipped(whole, rng))
        try:
            load_case(tmp_path / "case")
        except FormatError:
            refused += 1
    assert refused > 100
    for n in rng.integers(0, len(whole) - 2, 40):
        (tmp_path / "case").write_bytes(whole[:n])
        with pytest.raises(FormatError):
            load_case(tmp_path / "case")
