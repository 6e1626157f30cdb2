"""The questions. Each takes a :class:`Run` and returns an :class:`Answer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.peers.answers import Answer, Row, duration
from bench.peers.client import Failed, Handle, Missing, Worker, interleaved

__all__ = ["FIXED_THREADS", "QUESTIONS", "Run"]


@dataclass(frozen=True)
class Run:
    """How the questions are put.

    Attributes:
        get: the worker of a code.
        threads: each code has.
        repeats: measurements a median is taken of.
    """

    get: Callable[..., Worker]
    threads: int
    repeats: int


@dataclass(frozen=True)
class Peer:
    """A code and how it runs.

    Attributes:
        code: module of ``bench.peers.codes``.
        name: for the table.
        copy: ``tcmalloc``: with that allocator.
        compiled: through ``torch.compile``.
        aim: how many times longer than snnfp it is to take.
    """

    code: str
    name: str
    copy: str = ""
    compiled: bool = False
    aim: float | None = None


def _peer(code: str, aim: float | None = None) -> Peer:
    names = {"jaxsnn": "jaxsnn", "snntorch": "snnTorch", "norse": "Norse"}
    return Peer(code, names.get(code, "SpikingJelly"), aim=aim)


def _on_a_grid(compiled_aim: float | None = None) -> list[Peer]:
    """The torch codes: plain, compiled, and with the allocator that helps them most."""
    return [
        _peer("snntorch"),
        Peer("snntorch", "snnTorch, compiled", "compiled", True, compiled_aim),
        Peer("snntorch", "snnTorch, tcmalloc", "tcmalloc"),
        _peer("norse"),
        Peer("norse", "Norse, tcmalloc", "tcmalloc"),
        _peer("spikingjelly"),
    ]


def _prepared(run: Run, peer: Peer, ours: Handle, kind: str, options: dict[str, Any]) -> Handle:
    extra: dict[str, Any] = {"match": ours.facts["hidden"]}
    if peer.compiled:
        extra["compiled"] = True
    if peer.code == "jaxsnn":
        inputs = {"yin-yang": 5, "784-350-10": 784}[options["which"]]
        hidden, output = ours.facts["most hidden"], ours.facts["most output"]
        few_hidden, few_output = ours.facts["needed hidden"], ours.facts["needed output"]
        extra = {
            "slots": [inputs + hidden + 3, hidden + output + 6],
            "few": [inputs + few_hidden + 1, few_hidden + few_output + 1],
        }
    return run.get(peer.code, peer.copy).prepare(kind, **options, **extra)


def _compare(
    run: Run, ours: Handle, kind: str, options: dict[str, Any], peers: list[Peer]
) -> list[Row]:
    """Forward and gradient by snnfp and by each peer, in turn."""
    calls = {"snnfp": (ours, "gradient")}
    if "needed hidden" in ours.facts:
        calls["snnfp, every spike"] = (ours, "every spike")
    aims: dict[str, float | None] = {}
    rows: list[Row] = []
    for peer in peers:
        try:
            calls[peer.name] = (_prepared(run, peer, ours, kind, options), "gradient")
            aims[peer.name] = peer.aim
        except Missing as error:
            what = "tcmalloc is" if str(error) == "tcmalloc" else "it is"
            rows.append(Row(peer.name, remark=f"{what} not installed"))
        except Failed as error:
            rows.append(Row(peer.name, remark=f"failed: {error}"))
    measured = interleaved(calls, run.repeats)
    own = measured["snnfp"][0]
    out = []
    for name, (seconds, count) in measured.items():
        facts = calls[name][0].facts
        remarks = []
        if "scale" in facts and facts["scale"] != 1.0:
            remarks.append(f"input weights x {facts['scale']:.3g}")
        if "slots" in facts:
            remarks.append(facts["slots"])
        if "compile seconds" in facts:
            remarks.append(f"compiled in {facts['compile seconds']:.1f} s")
        if "steps" in facts:
            remarks.append(f"{facts['steps']} steps")
        if abs(facts["hidden"] - ours.facts["hidden"]) > 0.1 * ours.facts["hidden"]:
            remarks.append("spikes NOT within 10 %")
        spikes = f"{facts['hidden']:.4g}"
        if "output" in facts:
            spikes += f" / {facts['output']:.3g}"
        version = "" if name.startswith("snnfp,") else f" {facts['version']}"
        out.append(
            Row(
                name + version,
                seconds,
                count,
                seconds / own,
                aims.get(name),
                spikes,
                "; ".join(remarks),
            )
        )
    return out + rows


def yin_yang(run: Run) -> Answer:
    """How long do forward and gradient of a Yin-Yang batch take, beside jaxsnn and snnTorch?"""
    options = {"which": "yin-yang", "samples": 150}
    ours = run.get("snnfp").prepare("layered", **options, threads=run.threads)
    return Answer(
        "yin-yang",
        yin_yang.__doc__ or "",
        "5-150-3, a batch of 150, one latency spike an input; snnfp in double precision, the "
        "others in single. Spikes a sample: hidden / output.",
        "time over snnfp's",
        _compare(run, ours, "layered", options, [_peer("jaxsnn", 40.0), *_on_a_grid(30.0)]),
        run.threads,
    )


def paper(run: Run) -> Answer:
    """How long do forward and gradient take with the weights of the EventProp paper?"""
    options = {"which": "paper", "samples": 150}
    ours = run.get("snnfp").prepare("layered", **options, threads=run.threads)
    return Answer(
        "paper",
        paper.__doc__ or "",
        "5-150-3, a batch of 150; snnfp in double precision, the others in single. The C++ "
        "EventProp code is not on PyPI, and jaxsnn knows no tau_mem = 4 tau_syn. Spikes a sample: "
        "hidden / output.",
        "time over snnfp's",
        _compare(run, ours, "layered", options, _on_a_grid()),
        run.threads,
    )


def _deep(run: Run, samples: int, peers: list[Peer], name: str, text: str) -> Answer:
    options = {"which": "784-350-10", "samples": samples}
    ours = run.get("snnfp").prepare("layered", **options, threads=run.threads)
    return Answer(
        name,
        text,
        f"784-350-10, 784 input spikes a sample, {samples} sample{'s' * (samples > 1)} a call, 200 "
        "steps of the codes on a grid; snnfp in double precision, the others in single. Spikes a "
        "sample: hidden / output.",
        "time over snnfp's",
        _compare(run, ours, "layered", options, peers),
        run.threads,
    )


def deep_inputs(run: Run) -> Answer:
    """How long do forward and gradient of one 784-350-10 sample take?"""
    peers = [_peer("jaxsnn"), *_on_a_grid(40.0)]
    return _deep(run, 1, peers, "784-350-10", deep_inputs.__doc__ or "")


def deep_batch(run: Run) -> Answer:
    """And of a batch of 32, where a time step costs the codes on a grid fewer calls a sample?"""
    return _deep(run, 32, _on_a_grid(), "784-350-10 batch", deep_batch.__doc__ or "")


def recurrent(run: Run) -> Answer:
    """How long do forward and gradient of a second of a recurrent network take?"""
    options = {"strength": 0.9}
    ours = run.get("snnfp").prepare("recurrent", **options, threads=run.threads)
    return Answer(
        "recurrent",
        recurrent.__doc__ or "",
        "100 neurons all to all, 50 inputs, 1017 input spikes in 1 s, one sample; 1000 steps of "
        "the codes on a grid. Spikes: of the neurons.",
        "time over snnfp's",
        _compare(run, ours, "recurrent", options, _on_a_grid(200.0)),
        run.threads,
    )


def jacobian(run: Run) -> Answer:
    """How fast is forward propagation: all spikes by all weights of a recurrent network?"""
    options = {"strength": 1.06}
    ours = run.get("snnfp").prepare("recurrent", **options, threads=run.threads)
    calls = {
        "Jacobian": (ours, "jacobian"),
        "Jacobian, into given memory": (ours, "given"),
        "Jacobian, block by block": (ours, "blocks"),
        "DGEMM": (run.get("dgemm").prepare("dgemm", size=1500), "multiply"),
    }
    missing = []
    try:
        peer = run.get("snntorch").prepare("recurrent", **options, match=ours.facts["hidden"])
        calls["snnTorch, one gradient"] = (peer, "gradient")
    except Missing:
        missing.append(Row("snnTorch, one gradient", remark="not installed"))
    measured = interleaved(calls, run.repeats)
    work = {name: 2.0 * ours.facts["deliveries"] * ours.facts["columns"] for name in measured}
    work["DGEMM"] = calls["DGEMM"][0].facts["multiply-adds"]
    machine = work["DGEMM"] / measured["DGEMM"][0]
    rows = []
    for name, (seconds, count) in measured.items():
        ratio = aim = None
        remark = spikes = ""
        if name == "DGEMM":
            remark = f"{machine / 1e9:.3g}e9 multiply-adds/s"
        elif name.startswith("Jac"):
            rate = work[name] / seconds
            ratio, aim = rate / machine, 0.7
            remark = f"{rate / 1e9:.3g}e9 multiply-adds/s"
            spikes = f"{ours.facts['hidden']:.4g}"
        else:
            least = min(measured[n][0] for n in measured if n.startswith("Jac"))
            remark = f"{seconds / least:.3g} times the Jacobian's time"
            spikes = f"{peer.facts['hidden']:.4g}"
        rows.append(Row(name, seconds, count, ratio, aim, spikes, remark))
    return Answer(
        "jacobian",
        jacobian.__doc__ or "",
        f"The same network, {ours.facts['hidden']:.0f} spikes by {ours.facts['columns']} weights. "
        f"Counted: two multiply-adds for each column and each delivery of a neuron's spike to a "
        f"neuron that fires after it ({ours.facts['deliveries']}); DGEMM: NumPy's, 1500 x 1500.",
        "rate over DGEMM's",
        rows + missing,
        run.threads,
    )


def balanced(run: Run) -> Answer:
    """How fast is a balanced random network simulated, beside NEST on a grid and NEST exact?"""
    until = 200.0
    ours = run.get("snnfp").prepare("balanced", until=until, threads=run.threads)
    calls = {f"snnfp {ours.facts['version']}": (ours, "simulate")}
    aims: dict[str, float] = {}
    missing = []
    models = ((False, "iaf_psc_exp, 0.1 ms", 2.0), (True, "iaf_psc_exp_ps_lossless", 12.0))
    for exact, model, aim in models:
        try:
            handle = run.get("nest", model).prepare("balanced", until=until, exact=exact)
            name = f"NEST {handle.facts['version']}, {model}"
            calls[name] = (handle, "simulate")
            aims[name] = aim
        except Missing:
            missing.append(Row(f"NEST, {model}", remark="not installed"))
    measured = interleaved(calls, run.repeats, slow=120.0)
    own = next(iter(measured.values()))[0] / ours.facts["deliveries"]
    rows = []
    for name, (seconds, count) in measured.items():
        facts = calls[name][0].facts
        each = seconds / facts["deliveries"]
        rows.append(
            Row(
                name,
                seconds,
                count,
                each / own,
                aims.get(name),
                f"{facts['rate']:.3g} Hz",
                f"{1 / each:.3g} deliveries/s",
            )
        )
    return Answer(
        "balanced",
        balanced.__doc__ or "",
        f"5000 neurons, 400 excitatory and 100 inhibitory synapses each, delay 1.5 ms, Poisson "
        f"drive of 2550 spikes/s a neuron; {until:.0f} ms a call. Deliveries: of the neurons' "
        "spikes; the drive's come on top. NEST's exact model has a refractory time of one step, "
        "0.1 ms: without one each of its neurons fires once only. Spikes: the mean rate.",
        "time a delivery over snnfp's",
        rows + missing,
        run.threads,
    )


def scaling(run: Run) -> Answer:
    """What do the adjoint, a second thread and single precision cost or gain?"""
    worker = run.get("snnfp")
    shapes: dict[str, tuple[str, dict[str, Any]]] = {
        "Yin-Yang, 150 samples": ("layered", {"which": "yin-yang", "samples": 150}),
        "784-350-10, 32 samples": ("layered", {"which": "784-350-10", "samples": 32}),
        "recurrent": ("recurrent", {"strength": 0.9}),
    }
    rows = []

    def ratio(what: str, over: tuple[Handle, str], under: tuple[Handle, str], aim: float) -> None:
        got = interleaved({"over": over, "under": under}, run.repeats)
        rows.append(
            Row(
                what,
                got["over"][0],
                got["over"][1],
                got["over"][0] / got["under"][0],
                aim,
                remark=f"over {duration(got['under'][0])}",
            )
        )

    for name, (kind, options) in shapes.items():
        double = worker.prepare(kind, **options)
        single = worker.prepare(kind, **options, dtype="float32")
        alone, gradient = (double, "simulate"), (double, "gradient")
        ratio(f"{name}: forward and gradient over simulation", gradient, alone, -2.0)
        ratio(f"{name}: reverse sweep over simulation", (double, "reverse"), alone, -1.0)
        ratio(f"{name}: double over float", gradient, (single, "gradient"), 1.5)
        if kind == "layered":
            both = worker.prepare(kind, **options, threads=2)
            ratio(f"{name}: 1 thread over 2", gradient, (both, "gradient"), 1.9)
    one = worker.prepare("recurrent", strength=1.06)
    two = worker.prepare("recurrent", strength=1.06, threads=2)
    single = worker.prepare("recurrent", strength=1.06, dtype="float32")
    ratio("forward propagation: 1 thread over 2", (one, "jacobian"), (two, "jacobian"), 1.9)
    ratio("the same, into given memory", (one, "given"), (two, "given"), 1.9)
    ratio("the same, block by block", (one, "blocks"), (two, "blocks"), 1.9)
    ratio("forward propagation: double over float", (one, "given"), (single, "given"), 1.5)
    machine = run.get("ceiling").prepare("exponentials", count=2000)
    ratio("exponentials in cache: 1 thread over 2", (machine, "one"), (machine, "two"), 1.9)
    return Answer(
        "scaling",
        scaling.__doc__ or "",
        "snnfp alone; the two of each ratio are measured in turn. Negative aims are upper bounds. "
        "The last row is what two threads gain here where they share nothing.",
        "ratio",
        rows,
        2,
    )


def training(run: Run) -> Answer:
    """How long does training take: Yin-Yang to 97 % test accuracy, an epoch of MNIST?"""
    rows = []
    worker = run.get("snnfp")
    for seed in range(5):
        facts = worker.prepare("yin_yang_training", seed=seed).facts
        reached = facts["reached"]
        rows.append(
            Row(
                f"Yin-Yang, seed {seed}, 1 thread",
                facts["seconds"] if reached else None,
                1,
                0.5 / facts["seconds"] if reached else None,
                1.0,
                remark=f"test accuracy {facts['accuracy']:.4f} after {facts['epochs']} epochs"
                + ("" if reached else f" and {duration(facts['seconds'])}: 97 % not reached"),
            )
        )
    try:
        facts = worker.prepare("mnist_epoch", threads=2).facts
        rows.append(
            Row(
                "MNIST, one epoch, 2 threads",
                facts["seconds"],
                1,
                30.0 / facts["seconds"],
                1.0,
                remark=f"{facts['samples']} samples of {facts['events']:.3g} input spikes; test "
                f"accuracy after it {facts['accuracy']:.4f}",
            )
        )
    except Failed as error:
        rows.append(Row("MNIST, one epoch, 2 threads", remark=str(error)))
    return Answer(
        "training",
        training.__doc__ or "",
        "Yin-Yang: the settings of bench/accuracy/yin_yang.py, 5000 training points; the clock "
        "stands while accuracy is taken after each epoch. MNIST: 784-350-10, pixels > 0 as "
        "latencies, the settings of `snnfp train mnist`.",
        "aim over time",
        rows,
        2,
    )


QUESTIONS: dict[str, Callable[[Run], Answer]] = {
    "yin-yang": yin_yang,
    "paper": paper,
    "784-350-10": deep_inputs,
    "784-350-10-batch": deep_batch,
    "recurrent": recurrent,
    "jacobian": jacobian,
    "balanced": balanced,
    "scaling": scaling,
    "training": training,
}

# These say themselves which thread counts they compare.
FIXED_THREADS = ("scaling", "training")
