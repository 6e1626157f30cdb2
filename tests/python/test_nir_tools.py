"""Graphs of other tools: what their exporters write is read, or the reason is named."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import snnfp

nir = pytest.importorskip("nir", reason="nir is not installed: pip install 'snnfp[nir]'")

from nir_graphs import chain, cuba_lif, node  # noqa: E402


def written_and_read(graph, path, **options):
    nir.write(path, graph)
    return snnfp.nir.read(path, **options)


# -- the examples of the NIR paper, by the scripts that made them --------------------------------


def braille(rng, bias):
    """Two layers as snnTorch has them, the first one recurrent and nested."""
    dt, n, m = 1e-4, 38, 7
    taus = {"tau_syn": dt / 0.05, "tau_mem": dt / 0.02, "r": 50.0, "w_in": 20.0}
    inner = nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([n])),
            "lif": cuba_lif(nir, n, **taus),
            "w_rec": nir.Affine(rng.normal(-0.001, 0.003, (n, n)), bias * rng.normal(0, 0.001, n)),
            "output": nir.Output(np.array([n])),
        },
        edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    return chain(
        nir,
        input=nir.Input(np.array([12])),
        fc1=nir.Affine(rng.normal(0.01, 0.02, (n, 12)), bias * rng.normal(0.001, 0.002, n)),
        lif1=inner,
        fc2=nir.Affine(rng.normal(0.003, 0.01, (m, n)), bias * rng.normal(0, 0.001, m)),
        lif2=cuba_lif(nir, m, **taus),
        output=nir.Output(np.array([m])),
    )


@pytest.mark.parametrize("bias", [0, 1])
def test_braille(bias, tmp_path):
    """Its own simulation, step by step as snnTorch does it, fires about as often."""
    rng = np.random.default_rng(0)
    graph = braille(rng, bias)
    model = written_and_read(graph, tmp_path / "braille.nir", pulse=1e-4)
    assert list(model.net.populations) == ["lif1_lif", "lif2"] and model.outputs == ("lif2",)
    assert {p.kind for p in model.net.projections.values()} == {"dense"}
    assert len(model.notes) == 3 * bias
    steps, grid = 400, rng.random((400, 1, 12)) < 0.03
    spikes = snnfp.Spikes.from_dense(grid, dt=1e-4)
    record = snnfp.simulate(model.net, spikes, until=steps * 1e-4, initial=model.initial)
    theirs = in_steps(graph, grid[:, 0])
    for name, counts in zip(("lif1_lif", "lif2"), theirs):
        mine = record.counts(name)[0]
        assert counts.sum() >= 100
        assert abs(mine.sum() - counts.sum()) < 0.15 * counts.sum()
        assert np.corrcoef(mine, counts)[0, 1] > 0.9


def in_steps(graph, grid):
    """Counts of both layers by i = 0.95 i + x, v = 0.98 v + i, and v = 0 at a spike."""
    inner = graph.nodes["lif1"].nodes["w_rec"]
    first, second = graph.nodes["fc1"], graph.nodes["fc2"]
    i1, v1, z1 = np.zeros((3, 38))
    i2, v2 = np.zeros((2, 7))
    counts = np.zeros(38), np.zeros(7)
    for x in grid:
        i1 = 0.95 * i1 + first.weight @ x + first.bias + inner.weight @ z1 + inner.bias
        v1 = 0.98 * v1 + i1
        z1 = (v1 > 1).astype(float)
        v1 = v1 * (1 - z1)
        i2 = 0.95 * i2 + second.weight @ z1 + second.bias
        v2 = 0.98 * v2 + i2
        z2 = (v2 > 1).astype(float)
        v2 = v2 * (1 - z2)
        counts[0][:] += z1
        counts[1][:] += z2
    return counts


def test_convolutional_network(tmp_path):
    """Of IF without a synapse: refused, or read with a time over which jumps are spread."""
    rng = np.random.default_rng(1)

    def conv(outs, ins, k, stride, size):
        weight = rng.normal(0.02, 0.1, (outs, ins, k, k)).astype(np.float32)
        return nir.Conv2d(size, weight, stride, 1, 1, 1, np.zeros(outs, np.float32))

    def fire(*shape):
        return node(nir, "IF", *shape, r=1.0, v_threshold=1.0, v_reset=0.0)

    def pool():
        two = np.array([2, 2])
        return nir.SumPool2d(two, two, np.array([0, 0]))

    graph = chain(
        nir,
        input=nir.Input(np.array([2, 34, 34])),
        **{"0": conv(16, 2, 5, 2, (34, 34)), "1": fire(16, 16, 16)},
        **{"2": conv(16, 16, 3, 1, (16, 16)), "3": fire(16, 16, 16), "4": pool()},
        **{"5": conv(8, 16, 3, 1, (8, 8)), "6": fire(8, 8, 8), "7": pool()},
        **{"8": nir.Flatten(np.array([8, 4, 4]), 0, -1)},
        **{"9": nir.Linear(rng.normal(0.01, 0.1, (256, 128))), "10": fire(256)},
        **{"11": nir.Linear(rng.normal(0.02, 0.1, (10, 256))), "12": fire(10)},
        output=nir.Output(np.array([10])),
    )
    with pytest.raises(
        ValueError, match=r"node 1 \(IF\) has no synapse: a spike makes its potential"
    ):
        written_and_read(graph, tmp_path / "cnn.nir")
    model = snnfp.nir.read(tmp_path / "cnn.nir", tau_syn=1e-3)
    kinds = {p.name: p.kind for p in model.net.projections.values()}
    assert kinds == {"0": "conv2d", "2": "conv2d", "4_5": "sparse", "7_9": "dense", "11": "dense"}
    times = np.sort(rng.uniform(0, 0.1, 3000))
    spikes = snnfp.Spikes.from_pairs((times, rng.integers(0, 2 * 34 * 34, 3000)), size=2 * 34 * 34)
    record = snnfp.simulate(model.net, spikes, until=0.2)
    assert all(record.counts(p).sum() >= 10 for p in model.net.populations)


def test_single_neurons(tmp_path):
    """Two LIF in a row, the first of which fires by itself."""
    graph = nir.NIRGraph.from_list(
        nir.Linear(np.array([[1.0]])),
        node(nir, "LIF", 1, tau=0.01, r=1.0, v_leak=1.2, v_threshold=1.0, v_reset=0.0),
        nir.Linear(np.array([[1.0]])),
        node(nir, "LIF", 1, tau=0.01, r=1.0, v_leak=0.0, v_threshold=20.0, v_reset=0.0),
    )
    model = written_and_read(graph, tmp_path / "two.nir", tau_syn=1e-4)
    silent = snnfp.Spikes.from_lists([[[]]])
    record = snnfp.simulate(model.net, silent, until=0.1, initial=model.initial)
    alone = -0.01 * np.log(1 - 1 / 1.2) * np.arange(1, 6)
    np.testing.assert_allclose(record.spikes("lif").times, alone, rtol=1e-12)


# -- shapes and fields as exporters have left them -----------------------------------------------


def test_one_number_for_a_layer(tmp_path):
    """snnTorch: parameters without a shape, and an Output to match."""
    scalar = {
        k: np.array(v) for k, v in dict(tau_syn=0.005, tau_mem=0.02, r=2.0, v_leak=0.0).items()
    }
    lif = nir.CubaLIF(
        **scalar, v_threshold=np.array(1.0), v_reset=np.array(0.0), w_in=np.array(0.3)
    )
    graph = chain(
        nir,
        input=nir.Input(np.array([2])),
        w=nir.Linear(np.ones((3, 2))),
        lif=lif,
        output=nir.Output(np.array([], dtype=int)),
    )
    model = snnfp.nir.from_nir(graph)
    assert model.net.populations["lif"].size == 3 and model.outputs == ("lif",)


def test_file_without_v_reset(tmp_path):
    """As written before NIR had one: the reset subtracts the threshold, which leads to 0."""
    import h5py

    graph = chain(
        nir, input=nir.Input(np.array([2])), lif=cuba_lif(nir, 2), output=nir.Output(np.array([2]))
    )
    nir.write(tmp_path / "old.nir", graph)
    with h5py.File(tmp_path / "old.nir", "a") as file:
        del file["node"]["nodes"]["lif"]["v_reset"]
    model = snnfp.nir.read(tmp_path / "old.nir")
    assert np.all(model.net.parameters["lif.v_reset"] == 0)


def test_planes_without_shapes():
    """snnTorch and Norse leave input_shape out; Spyx pads with a word and strides by a number."""
    for padding, stride in (((1, 1), (1, 1)), ("same", 1)):
        conv = nir.Conv2d(
            None, np.ones((4, 2, 3, 3), np.float32), stride, padding, 1, 1, np.zeros(4)
        )
        graph = chain(
            nir,
            input=nir.Input(np.array([2, 6, 6])),
            conv=conv,
            pool=nir.AvgPool2d(2, 2, (0, 0)),
            lif=cuba_lif(nir, 4, 3, 3),
            flat=nir.Flatten(None, 0, -1),
            w=nir.Linear(np.ones((2, 36))),
            last=cuba_lif(nir, 2),
            output=nir.Output(np.array([2])),
        )
        net = snnfp.nir.from_nir(graph).net
        assert net.populations["lif"].size == 36 and net.projections["w"].kind == "dense"


# -- the tools themselves, where they are installed ----------------------------------------------


def grid_and_spikes(channels, steps=1000):
    grid = np.random.default_rng(0).random((steps, 1, channels)) < 0.02
    return grid, snnfp.Spikes.from_dense(grid, dt=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_snntorch(tmp_path):
    """A network that is neither silent nor fires at every step: the same counts, but for a spike."""
    snntorch = pytest.importorskip(
        "snntorch", reason="snntorch is not installed: pip install snntorch"
    )
    export = pytest.importorskip("snntorch.export_nir", reason="nirtorch is not installed")
    import torch

    def layer(n, **options):
        each = {"alpha": torch.full((n,), 0.97), "beta": torch.full((n,), 0.99)}
        return snntorch.Synaptic(
            **each, threshold=torch.ones(n), init_hidden=True, reset_mechanism="zero", **options
        )

    torch.manual_seed(0)
    dense = [torch.nn.Linear(n, m, bias=False) for n, m in ((5, 20), (20, 3))]
    with torch.no_grad():
        for one in dense:
            one.weight.copy_(0.01 * torch.rand(one.weight.shape))
    net = torch.nn.Sequential(dense[0], layer(20), dense[1], layer(3, output=True))
    graph = export.export_to_nir(net, torch.zeros(1, 5), ignore_dims=[0])
    model = written_and_read(graph, tmp_path / "s.nir", pulse=1e-4)
    grid, spikes = grid_and_spikes(5)
    with torch.no_grad():
        theirs = sum(net(torch.tensor(x, dtype=torch.float32))[0] for x in grid)[0].numpy()
    record = snnfp.simulate(model.net, spikes, until=0.1)
    assert model.notes == () and len(model.outputs) == 1
    mine = record.counts(model.outputs[0])[0]
    assert theirs.min() >= 10
    assert np.abs(mine - theirs).max() <= 2, (mine, theirs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_norse(tmp_path):
    """Its spikes move the current by the weight: the same counts."""
    norse = pytest.importorskip("norse.torch", reason="norse is not installed: pip install norse")
    import torch

    torch.manual_seed(0)
    each = {"tau_mem_inv": 50.0, "tau_syn_inv": 200.0, "v_th": 1.0, "v_leak": 0.0, "v_reset": 0.0}
    p = norse.LIFParameters(**{k: torch.full((20,), v) for k, v in each.items()})
    dense = torch.nn.Linear(4, 20, bias=False)
    with torch.no_grad():
        dense.weight.copy_(2 * torch.rand(20, 4))
    net = norse.SequentialState(dense, norse.LIFCell(p=p, dt=1e-4))
    try:
        graph = norse.to_nir(net, torch.zeros(1, 4), dt=1.0)  # its factor of time constants
    except TypeError:
        graph = norse.to_nir(net)
    model = written_and_read(graph, tmp_path / "n.nir", pulse="tau_syn")
    grid, spikes = grid_and_spikes(4)
    state, theirs = None, 0
    with torch.no_grad():
        for x in grid:
            out, state = net(torch.tensor(x, dtype=torch.float32), state)
            theirs = theirs + out[0].numpy()
    record = snnfp.simulate(model.net, spikes, until=0.1)
    mine = record.counts(model.outputs[0])[0]
    assert theirs.sum() >= 200
    assert np.abs(mine - theirs).max() <= 1, (mine, theirs)


def test_braille_as_published(tmp_path):
    """The file of the NIR paper, which Norse brings: NIR 0.2.0, written by snnTorch."""
    spec = importlib.util.find_spec("norse")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("norse is not installed: pip install norse")
    folder = Path(spec.submodule_search_locations[0])
    file = folder / "torch" / "utils" / "test" / "braille.nir"
    if not file.exists():
        pytest.skip("norse was installed without its test files")
    model = snnfp.nir.read(file, pulse=1e-4)
    assert {p.name: p.size for p in model.net.populations.values()} == {"lif1_lif": 38, "lif2": 7}
    assert model.outputs == ("lif2",) and len(model.notes) == 3
    for name, p in model.net.populations.items():  # at most one spike a step, as there
        model.net.parameters[f"{name}.t_refractory"] = np.full(p.size, 1e-4)
    spikes = grid_and_spikes(12)[1]
    record = snnfp.simulate(model.net, spikes, until=0.1, initial=model.initial)
    assert all(record.counts(p).sum() >= 100 for p in model.net.populations)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_spyx(tmp_path):
    pytest.importorskip("spyx", reason="spyx is not installed: pip install spyx")
    export = pytest.importorskip("spyx.nir", reason="spyx lacks what it needs: pip install spyx")
    from flax import nnx
    from spyx import nn

    rngs = nnx.Rngs(0)
    net = nnx.Sequential(
        nnx.Linear(4, 10, use_bias=False, rngs=rngs),
        nn.CuBaLIF((10,), rngs=rngs),
        nnx.Linear(10, 6, use_bias=False, rngs=rngs),
        nn.RCuBaLIF((6,), rngs=rngs),
    )
    graph = export.to_nir(net, {"input": np.array([4])}, {"output": np.array([6])}, dt=1e-3)
    model = written_and_read(graph, tmp_path / "x.nir", pulse="tau_syn")
    assert [p.size for p in model.net.populations.values()] == [10, 6]
    assert len(model.net.projections) == 3
