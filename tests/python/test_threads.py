"""Any number of threads and any instruction set: the same bits; forks, the GIL and Ctrl-C."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import snnfp
from digests import derivatives, network_digest, trained_digest
from networks import quiet, random_network
from snnfp import _core
from snnfp._execution import ISAS

HERE = str(Path(__file__).parent)
AVAILABLE = [name for i, name in enumerate(ISAS) if i and _core.resolve_isa(i) == name]


def run_script(text, timeout=60, **environment):
    """Runs a program beside the helpers of the tests; returns what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {HERE!r})\n" + text],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def expected():
    return {r: network_digest(recurrent=r, n_threads=1) for r in (False, True)}


@pytest.mark.parametrize("n_threads", [2, 3, 7, 8, 16, None])
@pytest.mark.parametrize("recurrent", [False, True])
def test_threads_give_the_same_bits(expected, recurrent, n_threads):
    assert network_digest(recurrent=recurrent, n_threads=n_threads) == expected[recurrent]


@pytest.mark.parametrize("isa", AVAILABLE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_instruction_sets_give_the_same_bits(isa, dtype):
    for seed in range(10):
        net, spikes = random_network(
            np.random.default_rng(seed), hidden=17, recurrent=seed % 2 == 0, dtype=dtype
        )
        digests = {
            derivatives(quiet(net, spikes, until=8.0, isa=i, n_threads=2))
            for i in (isa, "portable", "best")
        }
        assert len(digests) == 1, seed


def test_portable_is_available():
    assert "portable" in AVAILABLE


def test_threads_give_the_same_trained_weights():
    first = trained_digest(n_threads=1)
    assert {trained_digest(n_threads=n) for n in (2, 3, 7, 8, 16)} == {first}
    assert trained_digest(n_threads=3, mode="forward") == trained_digest(
        n_threads=1, mode="forward"
    )


@pytest.mark.parametrize(
    "environment",
    [{"OMP_THREAD_LIMIT": "2"}, {"OMP_DYNAMIC": "true"}, {"OMP_NUM_THREADS": "5"}],
    ids=lambda e: next(iter(e)),
)
def test_environment_of_openmp_gives_the_same_bits(expected, environment):
    text = "from digests import *; print(network_digest(n_threads=8), default_threads())"
    text = text.replace("default_threads", "snnfp.default_threads")
    digest, threads = run_script(text, **environment).split()
    assert digest == expected[True]
    if "OMP_NUM_THREADS" in environment:
        assert threads == "5"


def test_fork_after_parallel_work(expected):
    """A child of os.fork works, and so does the parent afterwards."""
    text = """
import os, time
from digests import network_digest
first = network_digest(n_threads=4)
child = os.fork()
if child == 0:
    os._exit(0 if network_digest(n_threads=4) == first else 3)
end = time.monotonic() + 10
while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
    if time.monotonic() > end:
        os.kill(child, 9)
        raise SystemExit("the child hangs")
    time.sleep(0.01)
assert os.waitstatus_to_exitcode(done[1]) == 0, done
assert network_digest(n_threads=4) == first
print(first)
"""
    assert run_script(text) == expected[True]


def test_multiprocessing_fork_after_training():
    text = """
import multiprocessing
from digests import trained_digest
first = trained_digest(n_threads=4)
with multiprocessing.get_context("fork").Pool(2) as pool:
    jobs = [pool.apply_async(trained_digest, kwds={"n_threads": n}) for n in (1, 4)]
    print({j.get(timeout=10) for j in jobs} == {first})
"""
    assert run_script(text) == "True"


def long_run(seconds):
    """A network and the time until which simulating it takes about ``seconds`` on one thread."""
    net = snnfp.Network()
    net.input(1)
    h = net.population(400, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=0.7), name="h")
    weight = np.random.default_rng(0).normal(0, 0.01, (400, 400))
    net.connect(h, h, snnfp.Dense(weight=weight, delay=0.5))
    spikes = snnfp.Spikes([], [], [0, 0], size=1)
    start = time.perf_counter()
    snnfp.simulate(net, spikes, until=20.0, n_threads=1)
    return net, spikes, 20.0 * seconds / (time.perf_counter() - start)


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_other_threads_run_meanwhile(in_main_thread):
    """The GIL is free during a long call: another Python thread ticks on."""
    net, spikes, until = long_run(0.5)
    ticks, running = [], threading.Event()
    running.set()

    def tick():
        while running.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    span = []

    def work():
        span.append(time.perf_counter())
        snnfp.simulate(net, spikes, until=until, n_threads=1, spike_limit=10**9)
        span.append(time.perf_counter())

    if in_main_thread:
        work()
    else:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    running.clear()
    ticker.join()
    during = sum(span[0] < t < span[1] for t in ticks)
    assert span[1] - span[0] > 0.05
    assert during >= 20 * (span[1] - span[0])


def test_python_threads_simulate_at_once(expected):
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(network_digest(n_threads=n)))
        for n in (1, 2, 3, 4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [expected[True]] * 4


@pytest.mark.parametrize("n_threads", [1, 8])
@pytest.mark.parametrize("call", ["simulate", "forward", "jacobian"])
def test_interrupt(n_threads, call):
    """Ctrl-C in a long call is a KeyboardInterrupt soon, and the next call works."""
    text = f"""
import os, signal, threading, time
import numpy as np, snnfp
from digests import network_digest
from test_threads import long_run
first = network_digest(n_threads={n_threads})
net, spikes, until = long_run(120 if {call!r} == "simulate" else 0.1)
options = dict(n_threads={n_threads}, spike_limit=10**9)
if {call!r} != "simulate":
    record = snnfp.simulate(net, spikes, until=until, **options)
    assert record.n_spikes > 1000
sent = []
def interrupt():
    time.sleep(0.5)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    if {call!r} == "simulate":
        snnfp.simulate(net, spikes, until=until, **options)
    elif {call!r} == "forward":
        record.vjp(np.ones(record.n_spikes), mode="forward")
    else:
        record.jacobian(of=[record.n_spikes - 1])
    raise SystemExit("not interrupted")
except KeyboardInterrupt:
    late = time.perf_counter() - sent[0]
assert late < 5.0, late
assert network_digest(n_threads={n_threads}) == first
print("fine")
"""
    assert run_script(text) == "fine"
