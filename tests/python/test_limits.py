"""Memory that runs out, numbers that become denormal, firing that never ends: errors, not crashes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network
from test_threads import runs_here

HERE = str(Path(__file__).parent)


def run_script(text, timeout=120):
    """Runs a program beside the helpers of the tests; returns what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n" + text],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system has no /proc")
@pytest.mark.parametrize("n_threads", [1, 4])
def test_no_memory_left(n_threads):
    """Under RLIMIT_AS every call works or is a MemoryError, and the next one works."""
    text = f"""
import resource
import numpy as np
from digests import digest, network_digest
from long_calls import recurrent, quiet
n_threads = {n_threads}
first = network_digest(n_threads=n_threads)  # threads are there now
net, spikes = recurrent("dense", samples=4)
net.parameters["h.bias"] = 0.75
record = quiet(net, spikes, until=6.0, n_threads=n_threads)
u = np.cos(np.arange(record.n_spikes))
calls = [
    lambda: quiet(net, spikes, until=60.0, n_threads=n_threads).times,
    lambda: quiet(net, spikes, until=6.0, n_threads=n_threads, engine="queue").times,
    lambda: record.vjp(u, wrt="*")["h_to_h.weight"],
    lambda: record.vjp(u, mode="forward")["h_to_h.weight"],
    lambda: record.jacobian(of=np.arange(300), wrt="h_to_h.weight")["h_to_h.weight"],
]
failed = 0
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
for call in calls:
    expected = digest(call())
    for room in (0, 1, 3, 8, 20):
        with open("/proc/self/statm") as f:
            used = int(f.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (room << 20), hard))
        try:
            assert digest(call()) == expected
        except MemoryError:
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert digest(call()) == expected
    assert network_digest(n_threads=n_threads) == first
print(failed)
"""
    assert int(run_script(text)) >= 3


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_a_stormy_sample_changes_no_other(engine, recurrent):
    """Samples of one batch share a thread's scratch memory, and nothing else."""
    net, spikes = random_network(np.random.default_rng(3), recurrent=recurrent, samples=9)
    pairs = [(spikes[k].times, spikes[k].units) for k in range(9)]
    pairs[4] = (np.linspace(0, 7, 3000), np.arange(3000) % 4)
    batch = snnfp.Spikes.from_pairs(pairs, size=4)
    mixed = quiet(net, batch, until=8.0, engine=engine, n_threads=1)
    u = np.cos(np.arange(mixed.n_spikes))
    counts = np.diff(mixed.offsets)
    assert counts[4] > 20 * np.max(np.delete(counts, 4))
    for k in (0, 3, 5, 8):
        alone = quiet(net, batch[k], until=8.0, engine=engine, n_threads=1)
        part = slice(*mixed.offsets[k : k + 2])
        for name in ("times", "neurons", "slopes"):
            assert np.array_equal(getattr(mixed, name)[part], getattr(alone, name))
        # The gradient of this sample's spikes alone is that of the sample alone.
        only = np.zeros_like(u)
        only[part] = u[part]
        left, right = mixed.vjp(only), alone.vjp(u[part])
        assert all(np.array_equal(left[name], right[name]) for name in right)


COLD = """
import os, resource
from digests import network_digest
from snnfp import _core
_core.wake_always(True)  # else no more threads than processors
expected = network_digest(n_threads=1)
{warm}
before = len(os.listdir("/proc/self/task"))
soft, hard = resource.getrlimit({limit})
{prepare}
try:
    print("same" if network_digest(n_threads=8) == expected else "other bits")
except MemoryError:
    print("no memory")
resource.setrlimit({limit}, (soft, hard))
print(before, len(os.listdir("/proc/self/task")), network_digest(n_threads=2) == expected)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system has no /proc")
@pytest.mark.parametrize("warm", ["", "[network_digest(n_threads=n) for n in (8, 2)]"])
@pytest.mark.parametrize("room", [1, 5, 12, 20, 60, 300])
def test_no_memory_for_threads(room, warm):
    """The work goes on with the threads there are; the process does not end."""
    prepare = f"""
with open("/proc/self/statm") as f:
    used = int(f.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + ({room} << 20), hard))
"""
    text = COLD.format(warm=warm, limit="resource.RLIMIT_AS", prepare=prepare)
    result, threads = run_script(text).split("\n")
    assert result == "same" or (result == "no memory" and room < 20)
    assert threads.endswith("True")


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the system has no /proc")
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_no_threads_left(most):
    """A user who may have no more: the work goes on with those there are."""
    prepare = f"""
if os.geteuid() == 0:  # whom the limit does not hold
    os.setgroups([]), os.setgid(60001), os.setuid(60001)
resource.setrlimit(resource.RLIMIT_NPROC, ({most}, hard))
"""
    text = COLD.format(warm="", limit="resource.RLIMIT_NPROC", prepare=prepare)
    result, threads = run_script(text).split("\n")
    assert result == "same"
    before, after, right = threads.split()
    assert int(after) <= max(int(before), most) and right == "True"


def runaway(gain):
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(50, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=1e6))
    net.connect(h, h, snnfp.Dense(weight=gain, delay=0.1))
    return net


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("gain", [1.0, 1e6])
def test_runaway_firing_stops_soon(engine, gain):
    """By the spike limit there is without being asked for; within 2 s, in bounded memory."""
    text = f"""
import resource, time
import numpy as np, snnfp
from test_limits import runaway
spikes = snnfp.Spikes([0.5], [0], [0, 1], size=1)
net = runaway({gain})
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, took = peak(), []
for _ in range(5):
    start = time.process_time()
    try:
        snnfp.simulate(net, spikes, until=1e6, engine={engine!r}, n_threads=1)
        raise SystemExit("no error")
    except snnfp.errors.EventLimitError as e:
        assert e.population == "h" and e.sample == 0 and e.time < 100, e
    took.append(time.process_time() - start)
    if min(took) <= 2.0:
        break
print(min(took) <= 2.0, peak() - before <= 512)
"""
    assert run_script(text) == "True True"


@pytest.mark.parametrize("connectivity", ["dense", "sparse"])
@pytest.mark.parametrize("graph", ["loop", "chain"])
@pytest.mark.parametrize("spike_limit", [5, 9, 14])
def test_the_first_spike_beyond_the_limit(graph, connectivity, spike_limit):
    """Of many neurons that go over it, the first in time, whatever a simulator looks at first."""
    n = 10

    def connect(net, source, target):
        weight = np.full(source.size * n, 0.01)
        sources, targets = np.divmod(np.arange(source.size * n), n)
        if connectivity == "dense":
            net.connect(source, target, snnfp.Dense(weight=weight.reshape(-1, n), delay=5.0))
        else:
            pairs = {"sources": sources, "targets": targets}
            net.connect(source, target, snnfp.Sparse(**pairs, weight=weight, delay=5.0))

    net = snnfp.Network()
    x = net.input(1)
    slow = snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=np.linspace(1.0, 2.0, n))
    fast = snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=np.linspace(2.0, 3.0, n))
    a = net.population(n, slow, name="a")
    b = net.population(n, fast, name="b")
    connect(net, x, a)
    connect(net, a, b)
    if graph == "loop":
        connect(net, b, a)
    spikes = snnfp.Spikes([], [], [0, 0], size=1)
    whole = quiet(net, spikes, until=20.0)
    beyond = [np.flatnonzero(whole.neurons == j)[spike_limit:] for j in range(2 * n)]
    k = min(of_neuron[0] for of_neuron in beyond if of_neuron.size > 0)
    for engine in ("automatic", "queue"):
        with pytest.raises(snnfp.errors.EventLimitError) as caught:
            quiet(net, spikes, until=20.0, engine=engine, spike_limit=spike_limit)
        e = caught.value
        assert (e.population, e.neuron, e.time) == ("b", whole.neurons[k] - n, whole.times[k])
        assert e.count == spike_limit + 1


def piling_up(n, gain, isa="best", engine="automatic", shape=None):
    """A loop whose synapses have their own delays, at a gain a little above 1: the error it gives."""
    delay = np.random.default_rng(0).uniform(0, 0.5, shape or (n, n))
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(n, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=5.0))
    net.connect(h, h, snnfp.Dense(weight=gain / n, delay=delay))
    spikes = snnfp.Spikes([0.5], [0], [0, 1], size=1)
    with pytest.raises(snnfp.errors.EventLimitError) as caught:
        quiet(net, spikes, until=100.0, isa=isa, engine=engine, n_threads=1)
    return caught.value


@pytest.mark.parametrize("n, gain", [(50, 20.0), (100, 200.0), (200, 20.0)])
def test_runaway_firing_with_own_delays_stops_soon(n, gain):
    """Each spike puts an arrival a synapse on its way: there would be billions at the spike limit."""
    text = f"""
import resource, time
from test_limits import piling_up
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, took = peak(), []
for _ in range(5):
    start = time.process_time()
    e = piling_up({n}, {gain})
    took.append(time.process_time() - start)
    if min(took) <= 2.0:
        break
assert e.population == "h" and e.sample == 0 and 40 < e.count <= 10001, e
assert "arrivals are on their way" in str(e), e
print(min(took) <= 2.0, peak() - before <= 512, took, peak() - before)
"""
    assert run_script(text).startswith("True True")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system has no /proc")
def test_windows_in_which_nothing_waits_take_no_memory():
    """Arrivals too weak for any spike: the next window begins before the others are through."""
    text = """
import resource
import numpy as np, snnfp
from networks import quiet
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
net = snnfp.Network()
x, h = net.input(1, name="x"), net.population(512, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
net.connect(x, h, snnfp.Dense(weight=1e-6))
net.connect(h, h, snnfp.Dense(weight=0.0, delay=1.0))
def run(windows):
    times = np.arange(3 * windows) / 3
    spikes = snnfp.Spikes(times, np.zeros(times.size, int), [0, times.size], size=1)
    return quiet(net, spikes, until=float(windows), n_threads=1, isa="portable")
run(1000)
before = peak()
record = run(40_000)
assert [c.solver for c in record.components] == ["windows"] and record.n_spikes == 0
print(peak() - before)
"""
    assert float(run_script(text)) < 24.0


def test_runaway_firing_with_own_delays_is_the_same_error_everywhere():
    errors = [
        piling_up(100, 20.0, isa=isa, engine=engine)
        for isa in ("portable", "avx2", "avx512")
        for engine in ("automatic", "queue")
        if runs_here(isa)
    ]
    assert len(errors) >= 2
    assert len({(str(e), e.neuron, e.time, e.count) for e in errors}) == 1
    assert "in loops whose synapses have their own delays, more" in str(errors[0])


def test_runaway_firing_says_whose_delays_let_arrivals_pile_up():
    error = piling_up(100, 20.0, shape=(1, 100))
    assert "in loops whose target neurons have their own delays, more" in str(error)


def test_a_higher_spike_limit_lets_more_arrivals_be_on_their_way():
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(150, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=40.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=0.0))
    # Regular firing, of which each spike is heard 2 later.
    delay = np.full((150, 150), 2.0)
    net.connect(h, h, snnfp.Dense(weight=1e-9, delay=delay))
    spikes = snnfp.Spikes([], [], [0, 0], size=1)
    with pytest.raises(snnfp.errors.EventLimitError, match=r"more than 1125000 \(see spike"):
        quiet(net, spikes, until=4.0, n_threads=1)
    record = quiet(net, spikes, until=4.0, n_threads=1, spike_limit=20_000)
    assert record.n_spikes > 50 * 150
    net.parameters["h_to_h.delay"] = 2.0  # one for all: an arrival a spike
    assert quiet(net, spikes, until=4.0, n_threads=1).n_spikes == record.n_spikes


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_denormal_numbers_cost_nothing(dtype, engine):
    """Arrivals while what was heard first decays below the smallest normal numbers."""
    n, far = 200, 1400.0 if dtype == np.float64 else 160.0
    net = snnfp.Network(dtype=dtype)
    x = net.input(2)
    h = net.population(n, snnfp.LIF(tau_mem=2.0, tau_syn=1.9), name="h")
    weight = np.zeros((2, n))
    weight[0] = 0.1
    weight[1, :1] = 1e-3  # the others only move on
    net.connect(x, h, snnfp.Dense(weight=weight))

    def seconds(begin):
        times = np.append(0.0, np.linspace(begin, begin + 80.0, 4000))
        units = np.append(0, np.ones(4000, int))
        spikes = snnfp.Spikes(times, units, [0, 4001], size=2)
        start = time.process_time()
        quiet(net, spikes, until=begin + 80.0, n_threads=1, engine=engine)
        return time.process_time() - start

    near = late = np.inf
    for _ in range(40):
        near, late = min(near, seconds(1.0)), min(late, seconds(far))
        if late <= 1.5 * near:
            break
    assert late <= 1.5 * near
