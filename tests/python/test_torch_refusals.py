"""What a network as a PyTorch module cannot do is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import snnfp

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'snnfp[torch]'")

from snnfp.torch import SNNModule  # noqa: E402


def network(dtype=np.float64, inputs=1, **names):
    net = snnfp.Network(dtype=dtype)
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.5, bias=0.6), name=names.get("y", "y"))
    for k in range(inputs):
        x = net.input(3, name=f"x{k}")
        net.connect(x, y, snnfp.Dense(weight=1.0))
    return net


def module(dtype=np.float64, inputs=1, **options):
    return SNNModule(network(dtype, inputs), until=5.0, **options)


TIMES = torch.tensor([[0.5, 1.0, float("inf")], [2.0, 0.1, 0.3]])


def test_autocast_is_refused():
    snn = module(np.float32)
    linear = torch.nn.Linear(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(RuntimeError, match=r"does not run under torch.autocast\('cpu'\)"):
            snn(TIMES)
        low = linear(torch.rand(2, 3))
        with torch.autocast("cpu", enabled=False):
            assert snn(low.abs().float()).dtype == torch.float32
            with pytest.raises(TypeError, match=r"spikes of x0 has dtype torch.bfloat16, expected"):
                snn(low.abs())
    assert snn(TIMES).shape == (2, 2)


@pytest.mark.parametrize(
    "kind", [torch.float16, torch.bfloat16, torch.complex64, torch.int64, torch.bool]
)
def test_times_of_other_dtypes(kind):
    given = torch.ones(2, 3).to(kind)
    with pytest.raises(
        TypeError, match=rf"spikes of x0 has dtype {kind}, expected times as torch.float64 or"
    ):
        module()(given)


@pytest.mark.parametrize(
    "dtype,other",
    [(np.float64, torch.float32), (np.float32, torch.float64), (np.float32, torch.bfloat16)],
)
def test_parameters_keep_the_network_s_dtype(dtype, other):
    snn = module(dtype).to(other)
    expected = f"parameter y.tau_mem has dtype {other}, expected torch.{np.dtype(dtype).name}"
    with pytest.raises(TypeError, match=expected):
        snn(TIMES)


def test_times_of_the_other_precision_are_taken():
    """As simulate takes them; the derivative has the dtype of the times."""
    for dtype, other in ((np.float64, torch.float32), (np.float32, torch.float64)):
        given = TIMES.to(other, copy=True).requires_grad_()
        first = module(dtype)(given)
        assert first.numpy(force=True).dtype == dtype
        first.sum().backward()
        assert given.grad.dtype == other and given.grad[0, 2] == 0 and given.grad[1].abs().max() > 0


def test_times_that_float32_does_not_have():
    given = TIMES.double().clone()
    given[1, 2] = 1e39
    with pytest.raises(ValueError, match=r"times of x0\[1, 2\] is 1e\+39, expected at most 3.4028"):
        module(np.float32)(given)
    assert torch.isfinite(module()(given)).all()
    given[1, 2] = float("inf")
    assert torch.isfinite(module(np.float32)(given)).all()


def test_other_devices():
    with pytest.raises(TypeError, match="spikes of x0 is on meta, expected the CPU"):
        module()(TIMES.to("meta"))
    with pytest.raises(TypeError, match=r"parameter y.tau_mem is on meta, expected the CPU"):
        module().to("meta")(TIMES)


def test_grids():
    grid = torch.zeros(4, 2, 3)
    grid[1, :, 0] = 1
    snn = module(dt=0.5)
    with pytest.raises(
        ValueError, match="the grid of x0 requires a gradient, which only times have"
    ):
        snn(grid.requires_grad_())
    with pytest.raises(ValueError, match=r"array\[1, 0, 0\] is 2.0, expected 0 or 1"):
        snn(2 * grid.detach())
    with pytest.raises(
        ValueError, match=r"times of x0 have shape \(4, 2, 3\), expected \[samples, 3\]"
    ):
        module()(grid.detach())
    with pytest.raises(
        TypeError, match=r"torch.uint8, expected times .* or a grid \[T, samples, n\]"
    ):
        module()(grid.detach().byte())
    with pytest.raises(ValueError, match="dt is -1, expected a finite time > 0"):
        module(dt=-1)


def test_inputs_of_other_kinds():
    spikes = snnfp.Spikes.from_latencies(TIMES.numpy())
    two = module(inputs=2)
    assert torch.equal(two({"x0": TIMES, "x1": spikes}), two({"x1": TIMES, "x0": spikes}))
    cases = [
        (
            module(),
            TIMES.numpy(),
            TypeError,
            "spikes of x0 is a ndarray, expected a tensor of times or",
        ),
        (two, TIMES, ValueError, r"the network has 2 inputs \(x0, x1\), expected a mapping"),
        (two, {"x0": TIMES}, ValueError, "spikes are for .'x0'., expected"),
        (
            two,
            {"x0": TIMES, "x2": TIMES},
            KeyError,
            "'x2' is not an input of the network, expected: x0, x1",
        ),
        (module(), None, ValueError, r"spikes are for \[\], expected \['x0'\]"),
        (module(), TIMES[:, :2], ValueError, r"times of x0 have shape \(2, 2\)"),
        (module(), -TIMES, ValueError, r"times of x0\[0, 0\] is -0.5, expected a time >= 0"),
    ]
    for snn, given, kind, text in cases:
        with pytest.raises(kind, match=text):
            snn(given)


def test_networks_without_input():
    snn = module(inputs=0, wrt="y.bias")
    first = snn(samples=3)
    assert first.shape == (3, 2) and torch.isfinite(first).all()
    with pytest.raises(ValueError, match=r"the network has 0 inputs .*expected None"):
        snn(TIMES)


def test_the_constructor():
    for name in ("train", "forward", "network"):
        with pytest.raises(ValueError, match=f"the name '{name}' is an attribute of every module"):
            SNNModule(network(y=name))
    for options, kind, text in [
        ({"output": "spikes"}, ValueError, "output is 'spikes'"),
        ({"wrt": "*.wieght"}, KeyError, "matches no parameter, expected"),
        ({"wrt": "x0.times"}, KeyError, "'x0.times' matches no parameter but the times of an in"),
        ({"probe": {}}, TypeError, "there is no option 'probe'"),
        ({"n_threads": 0}, ValueError, "n_threads is 0"),
        ({"until": -1.0}, ValueError, "until is -1"),
    ]:
        with pytest.raises(kind, match=text):
            SNNModule(network(), **options)
    with pytest.raises(TypeError, match=r"net is 3, expected snnfp.Network"):
        SNNModule(3)
    drawn = snnfp.Network()
    x = drawn.input(1, name="x")
    drawn.connect(
        x,
        drawn.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="y"),
        snnfp.Dense(weight=snnfp.init.Normal(1, 1)),
    )
    with pytest.raises(snnfp.errors.SnnfpError, match=r"call network.initialise"):
        SNNModule(drawn)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # PyTorch's own use
def test_traces_are_refused():
    """PyTorch would record the values of one call as constants, or memory without values."""
    from torch.fx.experimental.proxy_tensor import make_fx

    snn = module(wrt="*")
    given = TIMES.double()
    traces = [
        lambda: torch.func.linearize(snn, given),
        lambda: make_fx(snn)(given),
        lambda: make_fx(snn, tracing_mode="fake")(given),
        lambda: make_fx(lambda t: torch.func.vjp(snn, t)[0])(given),
        lambda: make_fx(lambda t: snn.network() and t)(given),
    ]
    for traced in traces:
        with pytest.raises(NotImplementedError, match="a call cannot be traced as by"):
            traced()
    backward = snn(given.clone().requires_grad_()).sum()
    with pytest.raises(NotImplementedError, match="cannot be traced"):
        make_fx(lambda t: torch.autograd.grad(t * backward, snn.y.bias))(torch.ones(()))
    value, along = torch.func.jvp(snn, (given,), (torch.ones_like(given),))
    assert torch.equal(value, snn(given)) and torch.isfinite(along).all()


def test_values_out_of_their_domain_are_named():
    snn = module(wrt="*")
    with torch.no_grad():
        snn.y.tau_mem.fill_(-1.0)
    with pytest.raises(ValueError, match=r"y.tau_mem\[0\] is -1, expected a time > 0"):
        snn(TIMES)
    with torch.no_grad():
        snn.y.tau_mem.fill_(2.0)
        snn.x0_to_y.weight[1, 0] = float("nan")
    with pytest.raises(ValueError, match=r"x0_to_y.weight\[1, 0\] is nan"):
        snn(TIMES)


def test_without_torch(monkeypatch):
    """The message says what to install."""
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith("snnfp.torch")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ImportError, match=r"torch is not installed; it comes with: pip install 'snnfp\[torch\]'"
    ):
        importlib.import_module("snnfp.torch")
