"""Networks as PyTorch modules: derivatives, transforms, and life among other modules."""

from __future__ import annotations

import copy
import io
import threading
import warnings

import numpy as np
import pytest
import snnfp

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'snnfp[torch]'")

from snnfp.torch import FirstSpikes, SNNModule, SpikeTimes  # noqa: E402
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, vmap  # noqa: E402

# PyTorch itself warns of its own when forward mode is first asked for.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)

READING = snnfp.Reading("v", "at", times=(2.0, 6.0))
OUTPUTS = {
    "first_spikes": "first_spikes",
    "spike_times": SpikeTimes("y", silent=0.0),  # differences of inf are no numbers
    "voltage": "voltage",
    "several": (FirstSpikes("y"), READING, SpikeTimes("h", width=2, silent=0.0)),
}


def network(dtype=np.float64):
    """2 channels, 4 hidden neurons, 2 outputs that fire more than once, 3 readouts."""
    rng = np.random.default_rng(7)
    net = snnfp.Network(dtype=dtype)
    x = net.input(2, name="x")
    h = net.population(4, snnfp.LIF(tau_mem=rng.uniform(2, 4, 4), tau_syn=1.0), name="h")
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.5, bias=0.02), name="y")
    v = net.readout(3, snnfp.LI(tau_mem=3.0, tau_syn=1.0), name="v")
    net.connect(x, h, snnfp.Dense(weight=rng.uniform(1.0, 2.0, (2, 4)), delay=0.1))
    net.connect(
        h, y, snnfp.Dense(weight=rng.uniform(0.5, 1.0, (4, 2)), delay=rng.uniform(0, 0.3, (4, 1)))
    )
    net.connect(y, h, snnfp.Dense(weight=-0.2, delay=0.5), name="back")
    net.connect(h, v, snnfp.Dense(weight=rng.normal(0, 1, (4, 3))))
    return net


def times(n=3, per=None, dtype=torch.float64):
    rng = torch.Generator().manual_seed(3)
    shape = (n, 2) if per is None else (n, 2, per)
    return 0.2 + 2.0 * torch.rand(shape, generator=rng, dtype=torch.float64).to(dtype)


def module(output="first_spikes", dtype=np.float64, **options):
    return SNNModule(network(dtype), until=8.0, output=output, n_threads=1, **options)


def function(snn, wrt):
    """The module as a function of some parameters and the times."""
    own = dict(snn.named_parameters())
    names = [n for n in own if n in wrt]
    assert len(names) == len(wrt)

    def call(given, *parameters):
        return functional_call(snn, dict(zip(names, parameters)), (given,))

    return call, [own[n].detach().clone().requires_grad_() for n in names]


WRT = ("x_to_h.weight", "h_to_y.weight", "h_to_y.delay", "h.tau_mem", "y.threshold", "y.bias")


@pytest.mark.parametrize("per", [None, 2])
@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_gradcheck(output, per):
    """Reverse and forward mode against differences."""
    call, parameters = function(module(output, wrt="*"), WRT)
    given = times(2, per).requires_grad_()
    assert gradcheck(
        call,
        (given, *parameters),
        check_forward_ad=True,
        check_undefined_grad=True,
    )


def test_a_wrong_gradient_would_be_seen(monkeypatch):
    from snnfp._functional import Trace

    right = Trace.pullback
    monkeypatch.setattr(
        Trace,
        "pullback",
        lambda self, c, wrt: {n: 1.01 * g for n, g in right(self, c, wrt).items()},
    )
    call, parameters = function(module(), WRT[:1])
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(call, (times(2).requires_grad_(), *parameters))


def test_the_core_s_own_numbers():
    """To the bit what simulate and vjp give, for times, spikes and a grid alike."""
    net, given = network(), times(3)
    spikes = snnfp.Spikes.from_latencies(given.numpy())
    record = snnfp.simulate(net, spikes, until=8.0, stop_after=["y"])
    weight = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2)
    wanted = record.vjp({"y": weight.numpy()}, wrt=["*.weight", "x.times"])
    wanted = {n: g for n, g in wanted.items() if n != "h_to_v.weight"}
    snn = module()
    for inputs in (given.requires_grad_(), spikes, {"x": spikes}):
        snn.zero_grad()
        first = snn(inputs)
        first.backward(weight)
        assert first.detach().numpy().tobytes() == record.first_spikes("y").tobytes()
        for name in ("x_to_h.weight", "h_to_y.weight", "back.weight"):
            assert snn.get_parameter(name).grad.numpy().tobytes() == wanted[name].tobytes()
    assert torch.equal(
        snn.get_parameter("h_to_v.weight").grad, torch.zeros(4, 3, dtype=torch.float64)
    )
    order = np.argsort(given.detach().numpy(), axis=1, kind="stable")
    by_time = np.take_along_axis(given.grad.numpy(), order, axis=1).reshape(-1)
    np.testing.assert_array_equal(by_time, wanted["x.times"])
    assert snn.get_parameter("h.tau_mem").grad is None

    grid = torch.zeros(30, 3, 2, dtype=torch.bool)
    grid[10, :, 0] = grid[14, 1:, 1] = grid[20, :, 0] = True
    of_grid = module("voltage", dt=0.1)
    same = of_grid(snnfp.Spikes.from_dense(grid.numpy(), dt=0.1))
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float32):
        assert torch.equal(of_grid(grid.to(kind)), same)
    assert torch.equal(of_grid(given), module("voltage")(given))  # times go too


def test_second_derivatives_are_refused_by_name():
    """Wherever one is asked for; none is silently 0."""
    text = "snnfp.torch has first derivatives only, and a second derivative"
    call, (weight,) = function(module(), WRT[:1])
    given = times(2).requires_grad_()
    with pytest.raises(NotImplementedError, match=text):
        gradgradcheck(call, (given, weight))
    with pytest.raises(NotImplementedError, match=text):
        hessian(lambda w: call(given.detach(), w).sum())(weight.detach())
    with pytest.raises(NotImplementedError, match=text):
        jacfwd(jacfwd(lambda w: call(given.detach(), w).sum()))(weight.detach())
    with pytest.raises(NotImplementedError, match=text):
        jacrev(jacfwd(lambda w: call(given.detach(), w).sum()))(weight.detach())
    snn = module()
    (first,) = torch.autograd.grad(snn(given).sum(), given, create_graph=True)
    with pytest.raises(NotImplementedError, match=text):
        first.square().sum().backward()


def test_vmap_over_inputs_parameters_and_both():
    snn = module(("spike_times", READING))
    call, parameters = function(snn, WRT[:2])
    given = torch.stack([times(2), 0.3 + times(2), 2.0 * times(2)])
    many = [torch.stack([p, 1.1 * p, 0.9 * p]).detach() for p in parameters]
    plain = [p.detach() for p in parameters]
    for dims, at in (
        ((0, None, None), lambda k: (given[k], *plain)),
        ((None, 0, None), lambda k: (given[0], many[0][k], plain[1])),
        ((0, 0, 0), lambda k: (given[k], many[0][k], many[1][k])),
        ((1, None, 0), lambda k: (given.transpose(0, 1)[:, k], plain[0], many[1][k])),
    ):
        arguments = [
            (given.transpose(0, 1) if dims[0] == 1 else given) if dims[0] is not None else given[0],
            *(m if d is not None else p for m, p, d in zip(many, plain, dims[1:])),
        ]
        spikes, read = vmap(call, in_dims=dims)(*arguments)
        for k in range(3):
            alone, said = call(*at(k))
            width = alone.shape[-1]
            assert torch.equal(spikes[k][..., :width], alone)
            assert torch.isinf(spikes[k][..., width:]).all() and torch.equal(read[k], said)


def test_transforms_agree():
    """Gradients a sample, Jacobians in both modes, and one vmap within another."""
    snn = module(("spike_times", "voltage"))
    call, parameters = function(snn, WRT[:2])
    plain = [p.detach() for p in parameters]
    given = times(5, 2)
    given[::2, :, 1] = torch.inf  # the outputs of some samples fire less than those of others
    assert len({snn(one[None])[0].shape for one in given}) > 1

    def loss(one, *parameters):
        spikes, read = call(one[None], *parameters)
        return torch.where(torch.isfinite(spikes), spikes, 0.0).square().sum() + read.sum()

    a_sample = vmap(grad(loss, argnums=(0, 1)), in_dims=(0, None, None))(given, *plain)
    for k in range(5):
        leaf = [given[k].clone().requires_grad_(), plain[0].clone().requires_grad_()]
        alone = torch.autograd.grad(loss(leaf[0], leaf[1], plain[1]), leaf)
        for there, here in zip(a_sample, alone):
            torch.testing.assert_close(there[k], here, rtol=1e-12, atol=1e-12)

    def read(weight, one):
        return call(one, weight, plain[1])[1]

    forward = jacfwd(read)(plain[0], given[:2])
    torch.testing.assert_close(forward, jacrev(read)(plain[0], given[:2]), rtol=1e-10, atol=1e-12)
    assert forward.shape == (2, 3, 2, 4) and forward.abs().max() > 0.01

    weights = torch.stack([plain[0], 1.2 * plain[0]])
    inner = vmap(read, in_dims=(None, 0))
    nested = vmap(inner, in_dims=(0, None))(weights, given[:3, None])
    assert nested.shape == (2, 3, 1, 3)
    assert torch.equal(nested[1, 2], read(weights[1], given[2:3]))
    of_nested = vmap(vmap(jacrev(read), in_dims=(None, 0)), in_dims=(0, None))(
        weights, given[:3, None]
    )
    torch.testing.assert_close(
        of_nested[1, 2], jacfwd(read)(weights[1], given[2:3]), rtol=1e-10, atol=1e-12
    )


def test_silent_neurons_have_no_gradient_and_no_nan():
    net = network()
    net.parameters["h_to_y.weight"] = np.array([[1.0, -1.0]] * 4)
    snn = SNNModule(net, output=FirstSpikes("y", silent=50.0), until=8.0)
    first = snn(times())
    assert (first[:, 1] == 50.0).all() and (first[:, 0] < 8.0).all()
    first.square().sum().backward()
    weight = snn.get_parameter("h_to_y.weight").grad
    assert weight[:, 0].abs().min() > 0 and not weight[:, 1].any()
    with_inf = SNNModule(net, until=8.0)
    first = with_inf(times())
    assert torch.isinf(first[:, 1]).all()
    # inf - inf: the loss is no number, and the gradient by what fires still one.
    (first - first.detach()).square().sum().backward()
    assert torch.isfinite(with_inf.get_parameter("h_to_y.weight").grad).all()


def test_state_copies_and_files(tmp_path):
    snn = module()
    state = snn.state_dict()
    assert list(state) == list(network().parameters)
    trained = {n for n, p in snn.named_parameters() if p.requires_grad}
    assert trained == set(network().select("*.weight"))
    want = snn(times())
    twin = copy.deepcopy(snn)
    with torch.no_grad():
        snn.get_parameter("x_to_h.weight").mul_(1.2)
    assert torch.equal(twin(times()), want) and not torch.equal(snn(times()), want)

    torch.save(snn.state_dict(), tmp_path / "state.pt")
    twin.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(twin(times()), snn(times()))
    file = io.BytesIO()
    torch.save(snn, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(times()), snn(times()))
    assert "h_to_y (dense)" in repr(snn) and "weight [4, 2]" in repr(snn)

    own = snn.network()
    spikes = snnfp.Spikes.from_latencies(times().numpy())
    first = snnfp.simulate(own, spikes, until=8.0).first_spikes("y")
    assert first.tobytes() == snn(spikes).detach().numpy().tobytes()
    own.parameters["x_to_h.weight"] = 0.0
    assert torch.equal(twin(times()), snn(times()))


def test_parametrizations_keep_parameters_in_their_domain():
    class Positive(torch.nn.Module):
        def forward(self, free):
            return torch.nn.functional.softplus(free)

        def right_inverse(self, value):
            return value + torch.log(-torch.expm1(-value))

    snn = module(wrt=["*.weight", "h.tau_mem"])
    want = snn(times())
    torch.nn.utils.parametrize.register_parametrization(snn.h, "tau_mem", Positive())
    torch.testing.assert_close(snn(times()), want, rtol=1e-12, atol=0)
    optimiser = torch.optim.SGD(
        [p for n, p in snn.named_parameters() if "tau_mem" in n and p.requires_grad], lr=50.0
    )
    for _ in range(3):
        optimiser.zero_grad()
        snn(times()).sum().backward()
        optimiser.step()
    assert (snn.h.tau_mem > 0).all() and not torch.allclose(
        snn.h.tau_mem, torch.tensor(network().parameters["h.tau_mem"])
    )


def test_training_with_linear_and_convolution():
    """One model in single precision, torch's optimiser and schedule; the loss falls."""
    torch.manual_seed(0)

    class Times(torch.nn.Module):
        def forward(self, x):
            return 0.2 + 3.0 * torch.sigmoid(x)

    snn = SNNModule(network(np.float32), until=10.0, output=FirstSpikes("y", silent=10.0))
    model = torch.nn.Sequential(
        torch.nn.Conv1d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(18, 2), Times(), snn,
        torch.nn.Linear(2, 2),
    )  # fmt: skip
    x = torch.randn(24, 1, 8)
    labels = (x.mean(dim=(1, 2)) > 0).long()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.03, total_steps=40)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model[0].parameters())


def test_what_has_changed_before_the_backward_pass_is_seen():
    snn = module()
    loss = snn(times()).sum()
    with torch.no_grad():
        snn.get_parameter("x_to_h.weight").mul_(1.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_calls_from_several_threads():
    snn = module(("first_spikes", "voltage"))
    given = [times(3) * (1 + 0.05 * k) for k in range(12)]

    def gradient(k):
        leaf = given[k].clone().requires_grad_()
        first, read = snn(leaf)
        (g,) = torch.autograd.grad(first.sum() + read.sum(), leaf)
        return torch.cat([first.detach(), read.detach(), g], dim=1)

    alone = [gradient(k) for k in range(12)]
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: gradient(k)})) for k in range(12)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(torch.equal(found[k], alone[k]) for k in range(12))


def test_warnings_name_the_user_s_line():
    net = network()
    net.parameters["x_to_h.weight"] = 0.001
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SNNModule(net, until=8.0)(times())
    assert {w.category for w in caught} == {snnfp.errors.SilentPopulationWarning}
    assert {w.filename for w in caught} == {__file__}


def test_compiled_models_run_it_as_it_is():
    snn = module()
    model = torch.nn.Sequential(torch.nn.Softplus(), snn)
    compiled = torch.compile(model, backend="eager")
    given = times()
    first = compiled(given)
    assert torch.equal(first, model(given))
    first.sum().backward()
    assert snn.get_parameter("x_to_h.weight").grad.abs().sum() > 0


def test_another_way_of_mapping_is_refused_by_name():
    """torch.autograd has one of its own, which calls no rule of a function of ours."""
    given = times(2).requires_grad_()
    first = module()(given)
    every = torch.eye(4, dtype=torch.float64).reshape(4, 2, 2)
    with pytest.raises(
        NotImplementedError, match=r"is mapped by torch.vmap, and not by is_grads_batched"
    ):
        torch.autograd.grad(first, given, every, is_grads_batched=True)


def test_forward_mode_by_what_is_not_trained():
    """A tangent of a parameter without gradient is not overlooked."""
    snn = module()
    tau, given = snn.h.tau_mem, times()
    assert not tau.requires_grad
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(tau.detach(), torch.ones_like(tau))
        first = functional_call(snn, {"h.tau_mem": dual}, (given,))
        along = torch.autograd.forward_ad.unpack_dual(first).tangent
    wanted = vmap(lambda t: functional_call(snn, {"h.tau_mem": t}, (given,)))
    moved = wanted(torch.stack([tau + 1e-6, tau - 1e-6]).detach())
    torch.testing.assert_close(along, (moved[0] - moved[1]) / 2e-6, rtol=1e-6, atol=1e-8)
    by_grad = grad(lambda t: functional_call(snn, {"h.tau_mem": t}, (given,)).sum())(tau.detach())
    torch.testing.assert_close(by_grad.sum(), along.sum(), rtol=1e-10, atol=0)


def test_what_is_not_trained_may_be_set():
    """In place, by .data, by another parameter of another legal shape; each call sees it."""
    snn = module(output="first_spikes")
    net = network()
    spikes = snnfp.Spikes.from_latencies(times().numpy())

    def agree():
        wanted = snnfp.simulate(net, spikes, until=8.0).first_spikes("y")
        return snn(times()).detach().numpy().tobytes() == wanted.tobytes()

    before = snn(times()).detach()
    snn.y.threshold.data.mul_(1.1)
    net.parameters["y.threshold"] = net.parameters["y.threshold"] * 1.1
    assert agree() and not torch.equal(snn(times()), before)
    delays = torch.tensor([[0.2, 0.1]], dtype=torch.float64)
    snn.h_to_y.delay = torch.nn.Parameter(delays, requires_grad=False)
    net.parameters["h_to_y.delay"] = delays.numpy()
    assert agree()


def test_a_delay_of_the_same_bytes_for_another_thing():
    net = snnfp.Network()
    x = net.input(2, name="x")
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.5), name="y")
    net.connect(x, y, snnfp.Dense(weight=[[3.0, 2.0], [1.0, 2.5]], delay=[[0.1], [0.4]]))
    snn = SNNModule(net)
    axons = snn(times())
    snn.x_to_y.delay = torch.nn.Parameter(snn.x_to_y.delay.T.contiguous(), requires_grad=False)
    net.parameters["x_to_y.delay"] = np.array([[0.1, 0.4]])
    dendrites = SNNModule(net)(times())
    assert torch.equal(snn(times()), dendrites) and not torch.equal(axons, dendrites)
