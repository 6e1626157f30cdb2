"""Any number of threads and any instruction set: the same bits; forks, the GIL and Ctrl-C."""

import contextlib
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
from long_calls import recurrent
from networks import quiet, random_network
from snnfp import _core
from snnfp._execution import ISAS

HERE = str(Path(__file__).parent)


def test_a_wide_layer_has_the_same_gradient_for_any_number_of_threads():
    """Its weights are taken in pieces, as many as threads; the last spike may be in another one."""
    rng = np.random.default_rng(5)
    for delay in (0.5, rng.uniform(0.1, 1.0, (60, 1)), rng.uniform(0.1, 1.0, (1, 140))):
        net = snnfp.Network()
        x = net.input(60, name="x")
        h = net.population(140, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
        weight = rng.normal(0.5, 0.6, (60, 140))
        net.connect(x, h, snnfp.Dense(weight=weight, delay=delay), name="p")
        samples = [(rng.uniform(0, 4, 90), rng.integers(0, 60, 90)) for _ in range(6)]
        record = snnfp.simulate(net, snnfp.Spikes.from_pairs(samples, size=60), until=8.0)
        u = np.cos(np.arange(record.n_spikes))
        one = record.vjp(u, wrt=["p.weight"], n_threads=1)["p.weight"]
        for n in (2, 3, 4, 7):
            many = record.vjp(u, wrt=["p.weight"], n_threads=n)["p.weight"]
            assert np.array_equal(one, many), (np.shape(delay), n)


def runs_here(isa):
    return _core.resolve_isa(_core.Isa[isa]).name == isa


def run_script(text, timeout=60, **environment):
    """Runs a program beside the helpers of the tests; returns what it printed."""
    # A job in the background inherits that SIGINT is ignored, and would then run for ever; and what
    # does run for ever must not take all memory.
    start = f"""
import sys; sys.path.insert(0, {HERE!r})
import resource, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
from snnfp import _core
_core.wake_always(True)
"""
    result = subprocess.run(
        [sys.executable, "-c", start + text],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(autouse=True)
def others_are_woken():
    """As many as are asked for, also on a busy machine and for short calls."""
    _core.wake_always(True)
    yield
    _core.wake_always(False)


@pytest.fixture(scope="module")
def expected():
    return {r: network_digest(recurrent=r, n_threads=1) for r in (False, True)}


@pytest.mark.parametrize("n_threads", [2, 3, 4, 7, 8, 16, 64, None])
@pytest.mark.parametrize("recurrent", [False, True])
def test_threads_give_the_same_bits(expected, recurrent, n_threads):
    before = _core.pieces_by_others()
    for _ in range(500):
        assert network_digest(recurrent=recurrent, n_threads=n_threads) == expected[recurrent]
        if n_threads is None or _core.pieces_by_others() > before:
            break
    else:
        pytest.fail("no other thread came to help in 500 calls")


@pytest.mark.parametrize("isa", ISAS[1:])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_instruction_sets_give_the_same_bits(isa, dtype):
    if not runs_here(isa):
        pytest.skip(f"this processor has no {isa}")
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
    assert runs_here("portable")
    assert runs_here(_core.resolve_isa(_core.Isa.best).name)


def test_threads_give_the_same_trained_weights():
    first = trained_digest(n_threads=1)
    assert {trained_digest(n_threads=n) for n in (2, 3, 4, 7, 8, 16, 64)} == {first}
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
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        snnfp.simulate(net, spikes, until=20.0, n_threads=1)
        taken.append(time.perf_counter() - start)
    return net, spikes, 20.0 * seconds / min(taken)


def waited_for_a_processor():
    """Seconds that this thread was ready to run and had no processor; 0 where Linux does not say."""
    try:
        with open("/proc/thread-self/schedstat") as f:
            return int(f.read().split()[1]) * 1e-9
    except (OSError, IndexError):
        return 0.0


@contextlib.contextmanager
def ticking():
    """A Python thread that ticks meanwhile; yields its (time, time waited for a processor)."""
    ticks, running = [], threading.Event()
    running.set()

    def tick():
        on = True
        while on:
            on = running.is_set()
            ticks.append((time.perf_counter(), waited_for_a_processor()))
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        while not ticks:
            time.sleep(0.001)
        yield ticks
    finally:
        running.clear()
        ticker.join()


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_other_threads_run_meanwhile(in_main_thread):
    """The GIL is free during a long call: another Python thread ticks on."""
    net, spikes, until = long_run(0.5)
    span = []

    def work():
        span.append(time.perf_counter())
        snnfp.simulate(net, spikes, until=until, n_threads=1, spike_limit=10**9)
        span.append(time.perf_counter())

    with ticking() as ticks:
        if in_main_thread:
            work()
        else:
            worker = threading.Thread(target=work)
            worker.start()
            worker.join()
    during = sum(span[0] < t < span[1] for t, _ in ticks)
    assert span[1] - span[0] > 0.05
    assert during >= 20 * (span[1] - span[0])


def ones(record):
    return np.ones(record.n_spikes)


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.vjp(ones(r)),
        lambda r: r.vjp(ones(r), mode="forward"),
        lambda r: r.jvp({"h_to_h.weight": np.ones((200, 200))}),
        lambda r: r.jacobian(of=[r.n_spikes - 1]),
        lambda r: r.probe("h", np.linspace(0.0, 20.0, 20_000)),
    ],
    ids=["vjp", "forward", "jvp", "jacobian", "probe"],
)
def test_other_threads_run_during_each_call(call):
    """The same for what is asked of a record."""
    samples, long = 1, False
    with ticking() as ticks:
        while not long:
            net, spikes = recurrent("dense", samples=samples)
            record = quiet(net, spikes, until=20.0, n_threads=1)
            start = time.perf_counter()
            call(record)
            end = time.perf_counter()
            long = end - start > 0.25
            samples *= 4
    assert sum(start < t < end for t, _ in ticks) >= 20 * (end - start)


def test_two_threads_simulate_and_a_third_ticks():
    """The longest gap between its ticks is 20 ms, less what others kept the processors from it."""
    net, spikes, until = long_run(0.2)

    def longest_gap():
        def work():
            snnfp.simulate(net, spikes, until=until, n_threads=1, spike_limit=10**9)

        workers = [threading.Thread(target=work) for _ in range(2)]
        with ticking() as ticks:
            start = time.perf_counter()
            for w in workers:
                w.start()
            for w in workers:
                w.join()
            end = time.perf_counter()
        assert end - start > 0.05
        # From the last tick before the start to the first after the end: a call that holds the lock
        # is one gap, wherever it begins.
        return max(
            late - early - (late_waited - early_waited)
            for (early, early_waited), (late, late_waited) in zip(ticks, ticks[1:])
            if early < end and late > start
        )

    best = np.inf
    for _ in range(40):
        best = min(best, longest_gap())
        if best <= 0.02:
            break
    assert best <= 0.02


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
def test_interrupt(n_threads):
    """Ctrl-C in any long call is a KeyboardInterrupt within 200 ms, and the next call works."""
    text = f"""
import os, signal, threading, time, warnings
from digests import network_digest
from long_calls import CALLS
warnings.simplefilter("ignore")
n_threads = {n_threads}
first = network_digest(n_threads=n_threads)
def interrupted(call):
    sent = []
    def interrupt():
        time.sleep(0.15)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    sender = threading.Thread(target=interrupt)
    try:
        sender.start()
        call()
        raise SystemExit("the call ended on its own")
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        sender.join()
for name, make in CALLS.items():
    call, late = make(n_threads), 1.0
    for _ in range(25):  # the machine may be busy
        late = min(late, interrupted(call))
        if late <= 0.2:
            break
    if late > 0.2:
        print(name, late)
    call = None
    assert network_digest(n_threads=n_threads) == first, name
print("fine")
"""
    assert run_script(text, timeout=300) == "fine"


def test_a_large_recording_is_interrupted():
    """Also while NumPy brings its spikes into order; in time of the processor, which is not shared.

    Whatever was interrupted, the next call gives the same.
    """
    text = """
import os, signal, threading, time
import numpy as np
from digests import digest
from long_calls import large_recording, recording
clock = time.pthread_getcpuclockid(threading.get_ident())
used = lambda: time.clock_gettime(clock)
small = recording(1, samples=1, until=5.0)
def again():
    record = small()
    gradient = record.vjp(np.ones(record.n_spikes), wrt="*")
    return digest(record.times, record.residuals, *gradient.values())
first, worst = again(), 0.0
call = large_recording(1)
for after in (0.02, 0.1, 0.2, 0.3, 0.4, 0.5):
    sent = []
    begin = used()
    def interrupt():
        while used() < begin + after:
            time.sleep(0.002)
        sent.append(used())
        os.kill(os.getpid(), signal.SIGINT)
    sender = threading.Thread(target=interrupt)
    try:
        sender.start()
        call()
        raise SystemExit("the call ended on its own")
    except KeyboardInterrupt:
        worst = max(worst, used() - sent[0])
    sender.join()
    assert again() == first, after
print(worst)
"""
    assert float(run_script(text)) < 0.1


def test_one_long_sample_beside_short_ones_is_interrupted():
    """Also where the calling thread has done its samples and waits for another thread."""
    text = """
import os, signal, threading, time
import numpy as np, snnfp
from long_calls import recurrent
net, _ = recurrent(samples=1)
busy = snnfp.Spikes.from_pairs(
    [(np.zeros(0), np.zeros(0, int))] * 15 + [(np.array([0.1]), np.array([0]))], size=10)
net.parameters["h.bias"] = 0.0
net.parameters["input_to_h.weight"] = np.full((10, 200), 3.0)
net.parameters["h_to_h.weight"] = np.full((200, 200), 0.3)  # goes on for ever
def late():
    sent = []
    def interrupt():
        time.sleep(0.2)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        snnfp.simulate(net, busy, until=1e4, n_threads=2, spike_limit=10**9)
        raise SystemExit("ended on its own")
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
print(any(late() <= 0.2 for _ in range(25)))  # the machine may be busy
"""
    assert run_script(text) == "True"


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_the_error_of_the_lowest_sample(engine, recurrent):
    """Whichever thread meets an error first."""
    net, spikes = random_network(np.random.default_rng(3), recurrent=recurrent, samples=64)
    calm = quiet(net, spikes, until=8.0, engine=engine)
    limit = int(max(np.max(calm.counts(name)) for name in net.populations))
    pairs = [(spikes[k].times, spikes[k].units) for k in range(64)]
    for k in (23, 24, 41, 63):
        pairs[k] = (np.linspace(0, 7, 2000), np.arange(2000) % 4)
    batch = snnfp.Spikes.from_pairs(pairs, size=4)
    found = set()
    for repeat in range(20):
        for n_threads in (1, 2, 8, 64) if repeat == 0 else (8,):
            with pytest.raises(snnfp.errors.EventLimitError) as caught:
                quiet(
                    net,
                    batch,
                    until=8.0,
                    engine=engine,
                    n_threads=n_threads,
                    spike_limit=limit,
                )
            e = caught.value
            found.add((e.sample, e.population, e.neuron, e.time, str(e)))
    assert len(found) == 1
    assert found.pop()[0] == 23


def test_n_threads_is_honoured():
    text = """
import os
from digests import network_digest
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
network_digest(n_threads=1)
one = count()
network_digest(n_threads=3)
print(one - before, count() - before)
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("the system has no /proc/self/task")
    assert run_script(text) == "0 2"


def test_no_more_threads_than_processors():
    text = """
import os
from digests import network_digest
_core.wake_always(False)
before = len(os.listdir("/proc/self/task"))
network_digest(n_threads=64)
print(len(os.listdir("/proc/self/task")) - before - len(os.sched_getaffinity(0)))
"""
    if not (os.path.isdir("/proc/self/task") and hasattr(os, "sched_getaffinity")):
        pytest.skip("the system does not say which threads and processors a process has")
    assert run_script(text) == "-1"


def test_threads_of_a_call_of_a_record(expected):
    """`vjp` and `jacobian` take a number of their own, and give the same bits."""
    net, spikes = random_network(np.random.default_rng(3), samples=64)
    record = quiet(net, spikes, until=8.0, n_threads=1)
    of = np.arange(0, record.n_spikes, 7)
    calls = {
        "reverse": lambda **n: record.vjp(ones(record), wrt="*", **n),
        "forward": lambda **n: record.vjp(ones(record), wrt="*", mode="forward", **n),
        "jacobian": lambda **n: record.jacobian(of=of, wrt="*", **n),
    }
    for name, call in calls.items():
        before = _core.pieces_by_others()
        alone = call()
        assert _core.pieces_by_others() == before, name
        for _ in range(500):
            together = call(n_threads=4)
            assert all(np.array_equal(alone[k], together[k]) for k in alone), name
            if _core.pieces_by_others() > before:
                break
        else:
            pytest.fail(f"{name}: no other thread came to help in 500 calls")
        with pytest.raises(ValueError, match="n_threads is 0, expected"):
            call(n_threads=0)


def test_threads_of_blas_give_the_same_trained_weights():
    text = "from digests import *; print(wide_digest(n_threads=1))"
    assert len({run_script(text, OPENBLAS_NUM_THREADS=n) for n in "123"}) == 1


def test_training_leaves_other_cores_alone():
    """NumPy's BLAS has threads that spin for a while after each product: training wakes none."""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("the system has no /proc/self/task")
    text = """
import os, time
from digests import wide_digest
def asleep():
    tasks = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
    states = [open(f"/proc/self/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] for t in tasks]
    return set(states) <= {"S"}
def others():
    return time.process_time() - time.thread_time()
end = time.monotonic() + 30
while not asleep():
    assert time.monotonic() < end, "the other threads never sleep"
    time.sleep(0.01)
before = others()
wide_digest(n_threads=1)
print(others() - before)
"""
    # A thread of BLAS spins for 100 ms after it starts, too, which on a busy machine may be late:
    # hence from when all sleep. What sleeps takes no time at all; the rest is to read two clocks.
    assert float(run_script(text)) < 0.002


def test_one_core_gives_the_same_bits(expected):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("the system cannot bind a process to a core")
    text = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from digests import network_digest
print(*{network_digest(n_threads=n) for n in (1, 4, 64)})
"""
    assert run_script(text) == expected[True]


def test_data_loader_workers_after_parallel_work(expected):
    """PyTorch forks its workers."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    text = """
import torch
from digests import network_digest
class Digests(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, k): return network_digest(n_threads=4)
first = network_digest(n_threads=4)
loader = torch.utils.data.DataLoader(
    Digests(), batch_size=1, num_workers=2, timeout=30, multiprocessing_context="fork")
print(*{d for batch in loader for d in batch} | {first, network_digest(n_threads=4)})
"""
    assert run_script(text, timeout=120) == expected[True]


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib_after_parallel_work(expected, backend):
    pytest.importorskip("joblib", reason="joblib is not installed")
    text = f"""
import os
os.environ["PYTHONPATH"] = {HERE!r}
from joblib import Parallel, delayed
from digests import network_digest
first = network_digest(n_threads=4)
jobs = (delayed(network_digest)(n_threads=n) for n in (1, 4, 2, 3))
found = Parallel(n_jobs=2, backend={backend!r}, timeout=60)(jobs)
print(*{{first, *found, network_digest(n_threads=4)}})
"""
    assert run_script(text, timeout=120) == expected[True]
