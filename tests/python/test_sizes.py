"""What does not fit is refused by name before memory is taken, and ids never wrap."""

import subprocess
import sys

import numpy as np
import pytest
import snnfp
from snnfp import LIF, Dense, Network, OneToOne, Sparse, Spikes
from snnfp._memory import _within_groups, free_memory

NEURON = LIF(tau_mem=2.0, tau_syn=1.0)


@pytest.fixture
def little(monkeypatch):
    """A machine with 1 GiB."""
    monkeypatch.setattr("snnfp._memory.free_memory", lambda: 2**30)


def layers(inputs=1, neurons=1):
    net = Network()
    net.input(inputs)
    net.population(neurons, NEURON, name="h")
    return net


def bursts():
    """1000 samples with two spikes of h each, and 100000 weights of channels that are silent."""
    net = layers(100_000)
    net.connect("input", "h", Dense(weight=2.4), name="w")
    spikes = Spikes.from_pairs([([0.0, 8.0], [0, 0])] * 1000, size=100_000)
    record = snnfp.simulate(net, spikes, until=20.0)
    assert record.n_spikes == 2000
    return record


MANY = 100_000
EVENTS = Spikes.from_pairs([([0.0], [0])] * 1000, size=1)

CALLS = {
    r"the 1073741824 neurons of population h need 130.0 GiB, 1.0 GiB are free": lambda: layers(
        neurons=2**30
    ),
    r"the 100000 x 100000 values of input_to_h.weight need 74.5 GiB.*: snnfp.Sparse keeps": lambda: (
        layers(MANY, MANY).connect("input", "h", Dense(weight=0.1))
    ),
    r"the 100000 x 100000 values of dense.weight need 74.5 GiB": lambda: layers(MANY, MANY).connect(
        "input", "h", Dense(weight=snnfp.init.Normal(0, 1)), name="dense"
    ),
    r"the 2000000000 rows of input_to_h need 14.9 GiB": lambda: layers(2_000_000_000).connect(
        "input", "h", Sparse(sources=[5], targets=[0], weight=1.0)
    ),
    r"the 2000000000000 x 1 x 10 cells of the grid need 18626.5 GiB.*a larger dt": lambda: Spikes(
        [1e9], [0], [0, 1], size=10
    ).to_dense(dt=1e-3, steps=2 * 10**12),
    r"V and I of 1000 samples x 1000 neurons of h x 1000 times need 14.9 GiB.*fewer": lambda: (
        snnfp.simulate(layers(1, 1000), EVENTS, until=20.0).probe("h", np.linspace(0, 19, 1000))
    ),
    r"the derivatives of 2000 spikes by 100000 parameters need 1.5 GiB.*with jacobian_blocks": lambda: (
        bursts().jacobian(of="h", wrt="*.weight")
    ),
    r"4194304 neurons \(4194304 of them in population h\) on 8 threads need 7.8 GiB": lambda: (
        snnfp.simulate(layers(1, 2**22), EVENTS, until=20.0, n_threads=8)
    ),
}


@pytest.mark.filterwarnings("ignore:population h")
@pytest.mark.parametrize("call", CALLS.values(), ids=range(len(CALLS)))
def test_what_does_not_fit(little, call):
    message = next(m for m, c in CALLS.items() if c is call)
    with pytest.raises(MemoryError, match=message):
        call()


def test_what_fits(little):
    net = layers(1000, 1000)
    net.connect("input", "h", OneToOne(weight=0.1, delay=snnfp.init.Uniform(0, 1)))
    assert net.initialise().parameters["input_to_h.delay"].shape == (1000,)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are of Linux")
def test_a_limit_of_the_process_counts():
    """Under RLIMIT_AS free memory is what is left of it, and nothing is taken before the error."""
    text = """
import resource
import snnfp
from snnfp._memory import free_memory
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
assert free_memory() < 2 << 30
net = snnfp.Network()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    net.population(2**28, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
except MemoryError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 14, len(net.populations))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().splitlines()
    assert first.startswith("the 268435456 neurons of population h need 32.5 GiB, 1.")
    assert second == "True 0"
    assert free_memory() > 0


GIB = 2**30
# version, path of the group, {folder: (limit, used, cached)}, what is left
GROUPS = {
    "version 2": ("0::/a/b", {"a/b": (3 * GIB, GIB, 0)}, 2 * GIB),
    "files are given back": ("0::/a", {"a": (3 * GIB, 3 * GIB, GIB)}, GIB),
    "more than there is": ("0::/a", {"a": (GIB, 2 * GIB, 0)}, 0),
    "a group above": ("0::/a/b", {"a": (2 * GIB, GIB, 0), "a/b": (5 * GIB, GIB, 0)}, GIB),
    "a container": ("0::/docker/123", {"": (2 * GIB, GIB, 0)}, GIB),
    "no limit": ("0::/a", {"a": ("max", GIB, 0)}, None),
    "no group": ("0::/", {}, None),
    "version 1": ("4:memory:/a", {"a": (3 * GIB, GIB, GIB)}, 3 * GIB),
    "version 1, above": ("5:cpu,memory:/a/b", {"": (2 * GIB, GIB, 0), "a/b": (4 * GIB, 0, 0)}, GIB),
    "version 1, another controller": ("5:cpu:/a", {"a": (3 * GIB, GIB, 0)}, None),
}


@pytest.mark.parametrize(("line", "groups", "left"), GROUPS.values(), ids=GROUPS)
def test_a_limit_of_a_control_group_counts(line, groups, left, tmp_path, monkeypatch):
    """Containers and batch systems set them; the machine's own memory is no help there."""
    two = line.startswith("0::")
    limit, used = ("max", "current") if two else ("limit_in_bytes", "usage_in_bytes")
    prefix = "" if two else "total_"
    for folder, (most, taken, cached) in groups.items():
        at = tmp_path / "groups" / ("" if two else "memory") / folder
        at.mkdir(parents=True, exist_ok=True)
        (at / f"memory.{limit}").write_text(f"{most}\n")
        (at / f"memory.{used}").write_text(f"{taken}\n")
        (at / "memory.stat").write_text(
            f"anon 5\n{prefix}inactive_file {cached // 4}\n{prefix}active_file {cached // 4 * 3}\n"
        )
    (tmp_path / "cgroup").write_text(f"7:pids:/a\n{line}\n")
    found = _within_groups(str(tmp_path / "cgroup"), str(tmp_path / "groups"))
    assert found == (2**63 if left is None else left)
    monkeypatch.setattr("snnfp._memory._within_groups", lambda: 12345)
    assert free_memory() == 12345


def test_ids_do_not_wrap():
    with pytest.raises(ValueError, match="size is 1099511627776, expected at most 2147483647"):
        Spikes([0.0], [2**32 + 1], [0, 1], size=2**40)
    largest = 2**31 - 1
    spikes = Spikes([0.0], [largest - 1], [0, 1], size=largest)
    assert spikes.units[0] == largest - 1 and repr(spikes).count(str(largest)) == 1
    net = Network()
    for name in "ab":
        net.input(2**30 - 1, name=name)
    with pytest.raises(ValueError, match="population h of size 2 makes 2147483648 input channels"):
        net.population(2, NEURON, name="h")
    assert net.population(1, NEURON, name="h").offset == 0
