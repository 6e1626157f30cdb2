"""NIR files: a network that is written and read again fires the same spikes to the bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import snnfp

nir = pytest.importorskip("nir", reason="nir is not installed: pip install 'snnfp[nir]'")

from nir_graphs import cuba_lif  # noqa: E402

LIF = {"tau_mem": 0.02, "tau_syn": 0.005}


def loop(net, source, rng):
    h = net.population(5, snnfp.LIF(**LIF, bias=7.0, capacitance=0.7, v_reset=-0.2), name="hidden")
    net.connect(source, h, snnfp.Dense(weight=rng.uniform(20, 120, (6, 5)), delay=0.001))
    net.connect(h, h, snnfp.Dense(weight=rng.uniform(-60, 90, (5, 5)), delay=0.002), name="back")
    out = net.population(
        2, snnfp.LIF(tau_mem=[0.01, 0.03], tau_syn=0.02, capacitance=3.0), name="out/1"
    )
    net.connect(h, out, snnfp.Dense(weight=rng.uniform(100, 300, (5, 2))))
    read = net.readout(2, snnfp.LI(**LIF, bias=0.3, capacitance=0.9), name="read")
    net.connect(out, read, snnfp.OneToOne(weight=[3.0, -5.0], delay=[0.001, 0.0]))


def kinds(net, source, rng):
    """Every connectivity, and every kind of delay of each."""
    h = net.population(4, snnfp.LIF(**LIF), name="h")
    w = rng.uniform(10, 80, (6, 4))
    mask = rng.random((6, 4)) < 0.7
    delays = rng.uniform(0, 0.003, (6, 4))
    for k, d in enumerate((0.0, 0.002, delays[:, :1], delays[:1], delays)):
        net.connect(source, h, snnfp.Dense(weight=w / (k + 1), delay=d), name=f"dense{k}")
    net.connect(source, h, snnfp.Dense(weight=w * mask, mask=mask, delay=delays[:1]), name="masked")
    net.connect(source, h, snnfp.Dense(weight=w * mask, mask=mask, delay=delays), name="masked2")
    pairs = {"sources": [3, 0, 5, 3, 1], "targets": [1, 2, 0, 0, 3]}
    twice = {"sources": [3, 0, 5, 3, 1], "targets": [1, 2, 0, 1, 3]}
    each = rng.uniform(10, 80, 5)
    net.connect(source, h, snnfp.Sparse(**pairs, weight=each, delay=0.001), name="sparse0")
    net.connect(source, h, snnfp.Sparse(**pairs, weight=each, delay=delays[:1]), name="sparse1")
    net.connect(source, h, snnfp.Sparse(**twice, weight=each, delay=0.001), name="sparse2")
    net.connect(
        source, h, snnfp.Sparse(**pairs, weight=each, delay=delays[0, :1].repeat(5)), name="sparse3"
    )
    for k, d in enumerate((0.0, 0.001, delays[0], np.full(4, 0.002))):
        net.connect(h, h, snnfp.OneToOne(weight=rng.uniform(-40, 20, 4), delay=d), name=f"one{k}")


def endless(net, source, rng):
    """Infinite time constants: a synapse and a membrane each."""
    for k, (mem, syn) in enumerate(((np.inf, 0.005), (0.02, np.inf), (np.inf, np.inf))):
        neuron = snnfp.LIF(
            tau_mem=mem, tau_syn=syn, capacitance=1.5, bias=0.0 if mem == np.inf else 3.0
        )
        p = net.population(2, neuron, name=f"p{k}")
        scale = 100.0 if syn == np.inf else 300.0
        net.connect(source, p, snnfp.Dense(weight=rng.uniform(0.2, 1, (6, 2)) * scale))
        net.connect(
            p, p, snnfp.Dense(weight=rng.uniform(-1, 0, (2, 2)) * scale, delay=0.001), name=f"r{k}"
        )
        read = net.readout(2, snnfp.LI(tau_mem=mem, tau_syn=syn), name=f"v{k}")
        net.connect(p, read, snnfp.OneToOne(weight=1.0))
    net.population(1, snnfp.LIF(tau_mem=0.02, tau_syn=np.inf, bias=90.0), name="alone")


def on_planes(net, source, rng):
    conv = snnfp.Conv2D(
        shape_in=(1, 2, 3), weight=rng.uniform(20, 90, (2, 1, 2, 2)), padding=1, delay=0.001
    )
    a = net.population(conv.size_out, snnfp.LIF(**LIF), name="a")
    net.connect(source, a, conv)
    pool = snnfp.AvgPool2D(shape_in=conv.shape_out, kernel=(2, 2), stride=1, weight=95.0)
    b = net.population(pool.size_out, snnfp.LIF(**LIF), name="b")
    net.connect(a, b, pool, name="pool")
    mean = snnfp.AvgPool2D(shape_in=conv.shape_out, kernel=(2, 2), stride=1, weight=0.25)
    net.connect(a, b, mean, name="mean")
    c = net.population(3, snnfp.LIF(**LIF), name="c")
    net.connect(b, c, snnfp.Dense(weight=rng.uniform(30, 90, (b.size, 3)), delay=0.002))
    net.connect(a, a, snnfp.OneToOne(weight=-5.0), name="self")


NETWORKS = {"loop": loop, "kinds": kinds, "endless": endless, "planes": on_planes}


def network(name, dtype=np.float64):
    rng = np.random.default_rng(3)
    net = snnfp.Network(dtype)
    source = net.input(6, name="x")
    NETWORKS[name](net, source, rng)
    spikes = snnfp.Spikes.from_pairs(
        [(np.sort(rng.uniform(0, 0.05, 40)), rng.integers(0, 6, 40)) for _ in range(3)], size=6
    )
    return net, spikes


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NETWORKS)
def test_same_spikes_to_the_bit(name, dtype, tmp_path):
    net, spikes = network(name, dtype)
    snnfp.nir.write(net, tmp_path / "net.nir")
    model = snnfp.nir.read(tmp_path / "net.nir")
    assert model.net.dtype == dtype and model.initial == {} and model.notes == ()
    assert list(model.net.populations) == list(net.populations)
    assert list(model.net.projections) == list(net.projections)
    kinds = {p.name: p.kind for p in net.projections.values()}
    assert {p.name: p.kind for p in model.net.projections.values()} == kinds
    before = snnfp.simulate(net, spikes, until=0.08)
    after = snnfp.simulate(model.net, spikes, until=0.08)
    assert before.n_spikes >= 100
    assert all(np.any(before.fires(p)) for p in net.populations)
    for part in ("times", "neurons", "offsets", "slopes"):
        assert np.array_equal(getattr(before, part), getattr(after, part)), part
    for readout in net.readouts:
        for value in ("end", "max"):
            assert np.array_equal(before.readout(readout, value), after.readout(readout, value))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_parameters(name, tmp_path):
    """Shapes too: what one number was for a projection is one number again."""
    net, _ = network(name)
    snnfp.nir.write(net, tmp_path / "net.nir")
    back = snnfp.nir.read(tmp_path / "net.nir").net.parameters
    assert sorted(back) == sorted(net.parameters)
    for key, value in net.parameters.items():
        assert back[key].shape == value.shape, key
        assert np.array_equal(back[key], value), key


@pytest.mark.parametrize("name", NETWORKS)
def test_same_gradients_to_the_bit(name):
    net, spikes = network(name)
    other = snnfp.nir.from_nir(snnfp.nir.to_nir(net)).net
    first, second = (snnfp.simulate(n, spikes, until=0.06) for n in (net, other))
    weights = np.random.default_rng(0).normal(size=first.n_spikes)
    a, b = first.vjp(weights, wrt="*"), second.vjp(weights, wrt="*")
    assert set(a) == set(b) and len(a) >= 20
    for key in a:
        assert np.array_equal(a[key], b[key]), key


def test_file_is_nir_s_own(tmp_path):
    """NIR reads it with its checks on, and each type is what its documentation names."""
    net, _ = network("loop")
    snnfp.nir.write(net, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    assert kinds["hidden"] == "CubaLIF" and kinds["read"] == "CubaLI" and kinds["x"] == "Input"
    assert kinds["back"] == "Linear" and kinds["back.delay"] == "Delay"
    assert {n for n, k in kinds.items() if k == "Output"} == {"output"}
    hidden = graph.nodes["hidden"]
    np.testing.assert_allclose(hidden.w_in / hidden.tau_syn * hidden.r / hidden.tau_mem, 1 / 0.7)
    np.testing.assert_allclose(hidden.v_leak, 7.0 * 0.02 / 0.7)


@pytest.mark.parametrize("name", NETWORKS)
def test_without_metadata_spikes_are_the_same_to_rounding(name):
    """NIR: no backend should rely on it. A bias comes back as a leak potential, from the same V."""
    net, spikes = network(name)
    graph = snnfp.nir.to_nir(net)
    for node in graph.nodes.values():
        node.metadata = {}
    model = snnfp.nir.from_nir(graph)
    start = {}
    for p in net.populations:  # V is measured from v_leak there
        shift = np.asarray(graph.nodes[p.replace("/", "_")].__dict__.get("v_leak", 0.0)).reshape(-1)
        begin = np.where(shift >= 1.0, 0.0, -shift)
        start[p.replace("/", "_")] = (np.broadcast_to(begin, net.populations[p].size), 0.0)
    before = snnfp.simulate(net, spikes, until=0.08)
    after = snnfp.simulate(model.net, spikes, until=0.08, initial=start)
    assert before.n_spikes >= 100
    for p in net.populations:
        a, b = before.spikes(p), after.spikes(p.replace("/", "_"))
        assert np.array_equal(a.offsets, b.offsets)
        for one, other in zip(a.to_lists(), b.to_lists()):
            for t, u in zip(one, other):
                np.testing.assert_allclose(t, u, rtol=1e-9)


def test_edited_graph_is_believed_and_not_the_metadata():
    net, _ = network("loop")
    graph = snnfp.nir.to_nir(net)
    graph.nodes["hidden"].v_threshold = 2.0 * graph.nodes["hidden"].v_threshold
    graph.nodes["hidden"].v_leak = 0.0 * graph.nodes["hidden"].v_leak
    back = snnfp.nir.from_nir(graph).net.parameters
    assert np.all(back["hidden.threshold"] == 2.0) and np.all(back["hidden.bias"] == 0)


def test_metadata_of_another_graph_are_left_alone():
    net = snnfp.Network()
    x, h = net.input(2, name="x"), net.population(2, snnfp.LIF(**LIF), name="h")
    net.connect(
        x,
        h,
        snnfp.Dense(weight=[[1.0, 0.0], [2.0, 3.0]], mask=np.array([[True, False], [True, True]])),
    )
    for key, value in (("mask", np.ones((3, 3))), ("sources", [5, 0]), ("targets", [0, 1, 1])):
        graph = snnfp.nir.to_nir(net)
        for node in graph.nodes.values():
            written = getattr(node, "metadata", {}) or {}
            if any(k.endswith("mask") for k in written):
                written[next(k for k in written if k.endswith("mask")).replace("mask", key)] = value
        back = snnfp.nir.from_nir(graph).net.parameters
        weights = next(v for k, v in back.items() if k.endswith(".weight"))
        assert np.array_equal(np.sort(weights[weights != 0]), [1.0, 2.0, 3.0])


def test_outputs():
    net, _ = network("loop")
    graph = snnfp.nir.to_nir(net, outputs=["hidden", "out/1"])
    assert snnfp.nir.from_nir(graph).outputs == ("hidden", "out/1")
    assert snnfp.nir.from_nir(snnfp.nir.to_nir(net)).outputs == ("read",)
    with pytest.raises(KeyError, match=r"output 'x' is no population .* expected one of: hidden"):
        snnfp.nir.to_nir(net, outputs=["x"])


def refused(**neuron):
    net = snnfp.Network()
    max_spikes = neuron.pop("max_spikes", None)
    net.population(2, snnfp.LIF(**{**LIF, **neuron}), name="p", max_spikes=max_spikes)
    snnfp.nir.to_nir(net)


def test_what_nir_has_nothing_for_is_named():
    with pytest.raises(
        ValueError, match=r"p\.t_refractory\[1\] is 0\.1, expected 0: the neurons of"
    ):
        refused(t_refractory=[0.0, 0.1])
    with pytest.raises(ValueError, match="population p has max_spikes 3, expected None"):
        refused(max_spikes=3)
    with pytest.raises(ValueError, match=r"p\.tau_mem\[1\] is inf and others are not"):
        refused(tau_mem=[0.1, np.inf])
    with pytest.raises(ValueError, match=r"p\.bias\[0\] is 1, expected 0: without a leak"):
        refused(tau_mem=np.inf, bias=1.0)


def test_planes_that_nir_has_nothing_for_are_named():
    net, _ = network("planes")
    net.connect("c", "b", snnfp.Dense(weight=1.0))
    with pytest.raises(
        ValueError, match=r"projection c_to_b \(dense\) leads to b, neurons on planes"
    ):
        snnfp.nir.to_nir(net)
    net, _ = network("planes")
    other = snnfp.AvgPool2D(shape_in=(1, 3, 2), kernel=1, weight=1.0)
    net.population(6, snnfp.LIF(**LIF), name="d")
    net.connect("x", "d", other)
    with pytest.raises(
        ValueError, match=r"x has planes of shape \(1, 2, 3\) and, at x_to_d, \(1, 3, 2\)"
    ):
        snnfp.nir.to_nir(net)


# -- errors of graphs ----------------------------------------------------------------------------


def graph_of(edges=None, **nodes):
    names = list(nodes)
    return nir.NIRGraph(nodes, edges or list(zip(names, names[1:])), type_check=False)


def lif(n=2, **fields):
    return cuba_lif(nir, n, **fields)


def ends(n=2):
    return {"i": nir.Input(np.array([n])), "o": nir.Output(np.array([n]))}


W = np.ones((2, 2))
BAD = {
    "unsupported": (
        dict(i=nir.Input(np.array([2])), t=nir.Threshold(np.ones(2)), o=nir.Output(np.array([2]))),
        r"node t \(Threshold\): snnfp has nothing that does the same; expected Affine, AvgPool2d",
    ),
    "sizes": (
        dict(i=nir.Input(np.array([3])), w=nir.Linear(W), n=lif(), o=nir.Output(np.array([2]))),
        r"node i \(Input\) gives 3 values, shape \(3,\), to node w \(Linear\), which takes 2",
    ),
    "three dimensions": (
        dict(i=nir.Input(np.array([2])), w=nir.Linear(np.ones((1, 2, 2))), n=lif()),
        r"node w \(Linear\): weight has shape \(1, 2, 2\), expected two dimensions",
    ),
    "two synapses": (
        dict(
            i=nir.Input(np.array([2])),
            s=nir.LI(np.ones(2), np.ones(2), np.zeros(2)),
            n=lif(),
            o=nir.Output(np.array([2])),
        ),
        r"node n \(CubaLIF\) has synapses of its own and hears through others|has synapses of its own",
    ),
    "negative tau": (
        dict(i=nir.Input(np.array([2])), w=nir.Linear(W), n=lif(tau_mem=[0.1, -1.0])),
        r"node n \(CubaLIF\): tau_mem\[1\] is -1\.0, expected a time > 0",
    ),
    "nan": (
        dict(i=nir.Input(np.array([2])), w=nir.Linear(W), n=lif(v_leak=[0.1, np.nan])),
        r"node n \(CubaLIF\): v_leak\[1\] is nan, expected a number",
    ),
    "reset above threshold": (
        dict(i=nir.Input(np.array([2])), w=nir.Linear(W), n=lif(v_reset=2.0)),
        "threshold",
    ),
    "linear at the end": (
        dict(i=nir.Input(np.array([2])), n=lif(), w=nir.Linear(W), o=nir.Output(np.array([2]))),
        r"node o \(Output\) hears node n \(CubaLIF\) through w, expected neurons and nothing",
    ),
    "input to output": (ends(), r"node o \(Output\) hears node i \(Input\), expected neurons"),
    "nowhere": (
        dict(i=nir.Input(np.array([2])), w=nir.Linear(W), n=lif(), v=nir.Linear(W)),
        r"node v \(Linear\) leads nowhere, expected an edge to neurons",
    ),
    "negative delay": (
        dict(i=nir.Input(np.array([2])), d=nir.Delay(np.array([-1.0, 0.0])), n=lif()),
        r"from node i \(Input\) to node n \(CubaLIF\): i_to_n.delay",
    ),
    "potential as input": (
        dict(
            i=nir.Input(np.array([2])),
            r=nir.CubaLI(np.ones(2), np.ones(2), np.ones(2), np.zeros(2)),
            w=nir.Linear(W),
            n=lif(),
        ),
        r"node r \(CubaLI\) sends its potential to node w \(Linear\), expected an Output",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_name_the_node(case):
    nodes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        snnfp.nir.from_nir(graph_of(**nodes))


def test_edges():
    nodes = dict(i=nir.Input(np.array([2])), w=nir.Linear(W), n=lif(), o=nir.Output(np.array([2])))
    with pytest.raises(ValueError, match=r"the edge \('i', 'w'\) is there 2 times.*dict\.fromkeys"):
        snnfp.nir.from_nir(graph_of([("i", "w"), ("w", "n"), ("i", "w")], **nodes))
    with pytest.raises(ValueError, match="an edge names node 'z', expected one of: i, w, n, o"):
        snnfp.nir.from_nir(graph_of([("i", "z")], **nodes))
    with pytest.raises(
        ValueError, match=r"node w \(Linear\): no Input and no spiking neuron leads"
    ):
        snnfp.nir.from_nir(graph_of([("i", "n"), ("n", "o"), ("w", "n")], **nodes))
    loop = [("i", "w"), ("w", "v"), ("v", "w"), ("v", "n"), ("n", "o")]
    with pytest.raises(
        ValueError, match=r"node w \(Linear\) lies on a loop without neurons: w -> v -> w"
    ):
        snnfp.nir.from_nir(graph_of(loop, **nodes, v=nir.Linear(W)))
    with pytest.raises(TypeError, match=r"graph is a dict, expected nir.NIRGraph"):
        snnfp.nir.from_nir({})


def test_subgraphs():
    """As snnTorch nests a recurrent layer; a port that is not clear is named."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([2])),
            "lif": lif(),
            "w": nir.Linear(W),
            "output": nir.Output(np.array([2])),
        },
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
    )
    nodes = dict(
        i=nir.Input(np.array([2])), v=nir.Linear(W), rnn=inner, o=nir.Output(np.array([2]))
    )
    model = snnfp.nir.from_nir(graph_of(**nodes))
    assert list(model.net.populations) == ["rnn_lif"] and model.outputs == ("rnn_lif",)
    ways = {(p.name, p.source, p.target) for p in model.net.projections.values()}
    assert ways == {("v", "i", "rnn_lif"), ("rnn_w", "rnn_lif", "rnn_lif")}
    inner.nodes["other"] = nir.Input(np.array([2]))
    with pytest.raises(ValueError, match="subgraph rnn has 2 Input nodes, expected one"):
        snnfp.nir.from_nir(graph_of(**nodes))


def test_files_that_are_none(tmp_path):
    for missing in (tmp_path / "none.nir", tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            snnfp.nir.read(missing)
    other = tmp_path / "other.nir"
    other.write_text("no graph")
    with pytest.raises(snnfp.errors.FormatError, match=r"other\.nir: expected an HDF5 file"):
        snnfp.nir.read(other)
    h5py = pytest.importorskip("h5py")
    with h5py.File(other, "w") as file:
        file["data"] = 1
    with pytest.raises(snnfp.errors.FormatError, match=r"other\.nir: expected .* a NIR graph"):
        snnfp.nir.read(other)


def test_without_the_package(tmp_path, monkeypatch):
    net, _ = network("loop")
    monkeypatch.setitem(sys.modules, "nir", None)
    for call in (lambda: snnfp.nir.to_nir(net), lambda: snnfp.nir.read(tmp_path / "net.nir")):
        with pytest.raises(
            snnfp.errors.MissingDependencyError, match=r"pip install 'snnfp\[nir\]'"
        ):
            call()
