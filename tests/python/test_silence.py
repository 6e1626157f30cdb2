"""Silent populations and outputs: said once, in words and numbers that help; what remedies leave."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import snnfp
from snnfp import Adam, Spikes, fit
from snnfp.errors import SilentOutputWarning, SilentPopulationWarning
from snnfp.losses import SpikeTimeSquaredError
from snnfp.remedies import LabelBump, WeightBump
from snnfp.task_settings import override
from snnfp.tasks import TASKS, build_network, make_loss
from test_training import LOSS, OPTIONS, problem


def iris(seed):
    """The task with an output that begins with weights of about -0.05: it cannot fire."""
    settings = override(TASKS["iris"].settings, {"later": (-0.05, 0.02), "seed": seed})
    data = TASKS["iris"].load(settings, None)
    net = build_network(settings, data.channels, data.classes)
    options = {
        "loss": make_loss(settings), "optimiser": Adam(lr=settings.lr), "epochs": 30,
        "batch_size": settings.batch_size, "until": settings.until, "progress": False, "seed": seed,
        "n_threads": 1,
    }  # fmt: skip
    return net, data, options


@pytest.mark.parametrize("seed", range(3))
def test_what_the_warning_says_to_add_is_what_helps(seed):
    net, data, options = iris(seed)
    with pytest.warns(SilentPopulationWarning) as caught:
        history = fit(net, data.train, **options)
    assert history["accuracy"] == [0.0] * 30  # never without help
    [warning] = caught
    text = str(warning.message)
    assert text.startswith("population output fires no spike in any sample since epoch 1, so no")
    assert text.endswith("larger initial weights of hidden_to_output")
    assert warning.filename == __file__
    added = re.search(r"add fit\((.*)\), or begin", text).group(1)
    net, data, options = iris(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilentPopulationWarning)  # the first epoch is still silent
        fit(net, data.train, **options, **eval(f"dict({added})", {"snnfp": snnfp}))
    seen = snnfp.evaluate(net, *data.test, options["loss"], until=options["until"])
    assert seen.accuracy >= 0.85


def test_only_what_is_not_done_yet_is_advised():
    net, (spikes, labels) = problem()
    key = "hidden_to_output.weight"
    net.parameters[key] = net.parameters[key] - 5.0

    def advice(targets=labels, loss=LOSS, **options):
        with pytest.warns(SilentPopulationWarning, match="population output") as caught:
            fit(
                net,
                (spikes, targets),
                optimiser=Adam(lr=1e-9),
                epochs=2,
                **{**OPTIONS, "loss": loss},
                **options,
            )
        [warning] = caught
        return str(warning.message).partition("comes before it: ")[2].partition(", or begin")[0]

    label, weight = "snnfp.remedies.LabelBump(amount=1.0)", "snnfp.remedies.WeightBump(amount=0.01)"
    assert advice() == f"add fit(remedies=[{label}, {weight}], clip_norm=1.0)"
    assert advice(clip_norm=2.0) == f"add fit(remedies=[{label}, {weight}])"
    bump = LabelBump(amount=1e-9)
    assert advice(remedies=[bump]) == f"add fit(remedies=[{weight}], clip_norm=1.0)"
    both = [bump, WeightBump(amount=1e-9)]
    assert advice(remedies=both, clip_norm=1.0) == "try LabelBump(amount=1e-08)"
    targets = np.full((60, 3), 2.0)  # no classes: nothing for LabelBump
    assert (
        advice(targets, SpikeTimeSquaredError(horizon=4.0))
        == f"add fit(remedies=[{weight}], clip_norm=1.0)"
    )


def one_output_silent(weight):
    """Two inputs straight to three outputs, the last of which has this weight."""
    net = snnfp.Network()
    x = net.input(2)
    y = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="output")
    net.connect(x, y, snnfp.Dense(weight=[[3.0, 4.0, weight], [4.0, 3.0, weight]]), name="w")
    rng = np.random.default_rng(0)
    return net, (Spikes.from_latencies(rng.uniform(0, 1, (60, 2))), np.arange(60) % 3)


def test_the_advice_is_for_the_readout_of_the_loss_where_it_is_not_the_last():
    """And what does not look at it is refused: it would help another population."""
    net, data = one_output_silent(-1.0)
    after = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="after")
    net.connect("output", after, snnfp.Dense(weight=np.arange(9.0).reshape(3, 3)))
    options = {**OPTIONS, "loss": replace(OPTIONS["loss"], population="output")}
    options |= {"optimiser": Adam(lr=1e-9), "epochs": 1}
    right = "LabelBump(amount=1.0, population='output')"
    with pytest.warns(SilentOutputWarning) as caught:
        fit(net, data, **options)
    said = [str(w.message) for w in caught if w.category is SilentOutputWarning]
    assert len(said) == 1 and f"add fit(remedies=[snnfp.remedies.{right}, " in said[0]
    for bump in (LabelBump(amount=1.0), LabelBump(amount=1.0, population="after")):
        message = r"remedies\[0\] is LabelBump\(.*, which looks for labels in population after, the loss in output: expected population='output'$"
        with pytest.raises(ValueError, match=message):
            fit(net, data, remedies=[bump], **options)
    bump = LabelBump(amount=1e-9, population="output")
    both = [bump, WeightBump(amount=1e-9)]
    with pytest.warns(
        SilentOutputWarning, match=r"try LabelBump\(amount=1e-08, population='output'"
    ):
        fit(net, data, remedies=both, clip_norm=1.0, **options)
    # A function says nothing of a readout, so a remedy may look where it likes.
    loss = options["loss"]
    function = {**options, "loss": lambda record, labels: loss(record, labels)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(net, data, remedies=[bump], **function)


def test_an_output_silent_for_its_own_class_is_said_once():
    net, data = one_output_silent(-1.0)
    with pytest.warns(SilentOutputWarning) as caught:
        fit(net, data, optimiser=Adam(lr=1e-9), epochs=4, **OPTIONS)
    [warning] = caught
    assert str(warning.message).startswith(
        "neuron 2 of population output is silent in 100% of the samples of its own class in epoch 1, "
        "where the gradient cannot bring it back: add fit(remedies=[snnfp.remedies.LabelBump(amount=1.0)"
    )
    assert warning.filename == __file__


def test_one_that_falls_silent_later_is_said_then():
    net, data = one_output_silent(3.5)

    def hush(history, net):
        if len(history) == 2:
            weight = net.parameters["w.weight"].copy()
            weight[:, 2] = -1.0
            net.parameters["w.weight"] = weight

    with pytest.warns(SilentOutputWarning, match="neuron 2 .* 100% .* in epoch 3, where"):
        fit(net, data, optimiser=Adam(lr=1e-9), epochs=4, callbacks=[hush], **OPTIONS)


def test_a_healthy_training_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net, data = problem()
        fit(net, data, optimiser=Adam(lr=0.02), epochs=6, **OPTIONS)


def test_a_population_silent_in_some_batches_only_is_not_silent():
    """fit speaks of whole epochs, and leaves the network's own warnings to later simulations."""
    net, (spikes, _) = one_output_silent(3.5)
    none = Spikes.from_latencies(np.full((60, 2), np.inf))
    spikes = Spikes.concatenate([spikes, none])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            net, (spikes, np.tile(np.arange(3), 40)), optimiser=Adam(lr=1e-9), epochs=2,
            **{**OPTIONS, "batch_size": 1},
        )  # fmt: skip
    with pytest.warns(SilentPopulationWarning, match="in the whole batch"):
        snnfp.simulate(net, none, until=4.0)


# -- what remedies leave as it is --------------------------------------------------------------


def masked():
    """A silent hidden layer: synapses that are not there, and a channel that never fires."""
    net = snnfp.Network()
    x = net.input(4)
    neuron = snnfp.LIF(tau_mem=1.0, tau_syn=1.0)
    h, y = net.population(6, neuron, name="hidden"), net.population(2, neuron, name="output")
    rng = np.random.default_rng(1)
    there = rng.random((4, 6)) < 0.6
    net.connect(x, h, snnfp.Dense(weight=np.where(there, 0.01, 0.0)), name="in")
    out = rng.random((6, 2)) < 0.6
    net.connect(h, y, snnfp.Dense(weight=np.where(out, 0.5, 0.0)), name="out")
    latencies = rng.uniform(0, 1, (20, 4))
    latencies[:, 3] = np.inf
    return net, (Spikes.from_latencies(latencies), np.arange(20) % 2), there, out


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_bumps_leave_weights_that_are_zero_and_those_of_silent_sources():
    net, (spikes, labels), there, _ = masked()
    _, gradient, record = snnfp.value_and_grad(
        net, spikes, labels, LOSS, until=4.0, return_record=True
    )
    bumped, helped = WeightBump(amount=0.5)(net, record, labels, gradient)
    fired = np.array([1, 1, 1, 0])[:, None]
    assert helped == 6 + 2
    assert np.array_equal(bumped["in.weight"], -0.5 * (there & (fired > 0)))
    assert not bumped["out.weight"].any()  # hidden fired nothing that could be made larger
    every, _ = WeightBump(amount=0.5, keep_zero=False)(net, record, labels, gradient)
    assert np.array_equal(every["in.weight"], -0.5 * np.broadcast_to(fired, (4, 6)))


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_label_bump_leaves_zeros():
    net, (spikes, labels), _, out = masked()
    net.parameters["in.weight"] = np.full((4, 6), 3.0)
    net.parameters["out.weight"] = np.where(out, -0.1, 0.0)
    _, gradient, record = snnfp.value_and_grad(
        net, spikes, labels, LOSS, until=4.0, return_record=True
    )
    bumped, helped = LabelBump(amount=0.5)(net, record, labels, gradient)
    assert helped == 20 and np.array_equal(bumped["out.weight"] != 0, out)
    every, _ = LabelBump(amount=0.5, keep_zero=False)(net, record, labels, gradient)
    assert np.all(every["out.weight"] < 0)
    # Where all weights are 0, none of them says that it is not there.
    net.parameters["out.weight"] = np.zeros((6, 2))
    every, _ = LabelBump(amount=0.5)(net, record, labels, gradient)
    assert np.all(every["out.weight"] < 0)


@pytest.mark.parametrize("kind", ["sparse", "one_to_one"])
def test_bumps_of_other_projections(kind):
    net = snnfp.Network()
    x, h = net.input(3), net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    if kind == "sparse":
        layout = snnfp.Sparse(
            sources=[0, 0, 2, 1], targets=[1, 0, 1, 2], weight=[0.1, 0.0, 0.1, 9.0]
        )
        expected = [-1.0, 0.0, 0.0, 0.0]
    else:
        layout, expected = snnfp.OneToOne(weight=[0.1, 9.0, 0.1]), [-1.0, 0.0, 0.0]
    net.connect(x, h, layout, name="w")
    spikes = Spikes.from_latencies([[0.1, 0.2, np.inf]])  # unit 2 never fires
    _, gradient, record = snnfp.value_and_grad(
        net, spikes, [0], LOSS, until=4.0, return_record=True, wrt="w.weight"
    )
    bumped, _ = WeightBump(amount=1.0)(net, record, [0], gradient)
    assert (bumped["w.weight"] - gradient["w.weight"]).tolist() == expected


@pytest.mark.parametrize("kind", ["dense", "sparse", "one_to_one"])
def test_a_label_bump_is_averaged_over_samples(kind):
    net = snnfp.Network()
    x, h = net.input(2), net.population(2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    layout = {
        "dense": snnfp.Dense(weight=[[0.1, 0.1], [0.1, 9.0]]),
        "sparse": snnfp.Sparse(sources=[0, 1, 1], targets=[0, 0, 1], weight=[0.1, 0.1, 9.0]),
        "one_to_one": snnfp.OneToOne(weight=[0.1, 9.0]),
    }[kind]
    net.connect(x, h, layout, name="w")
    spikes = Spikes.from_latencies([[0.1, np.inf], [0.2, 0.3], [0.2, 0.1], [np.inf, 0.1]])
    labels = [0, 0, 1, 1]  # the label of the first two samples is silent
    _, gradient, record = snnfp.value_and_grad(
        net, spikes, labels, LOSS, until=4.0, return_record=True, wrt="w.weight"
    )
    bumped, helped = LabelBump(amount=1.0)(net, record, labels, gradient)
    # Unit 0 fired in both of the four samples, unit 1 in one.
    expected = {
        "dense": [[-0.5, 0.0], [-0.25, 0.0]],
        "sparse": [-0.5, -0.25, 0.0],
        "one_to_one": [-0.5, 0.0],
    }[kind]
    assert helped == 2
    np.testing.assert_allclose(bumped["w.weight"] - gradient["w.weight"], expected, atol=1e-15)


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
@pytest.mark.parametrize("keep_zero", [True, False])
@pytest.mark.parametrize("kind", ["dense", "sparse", "one_to_one"])
def test_what_no_bump_can_help_is_not_counted(kind, keep_zero):
    """Neuron 1 has no weight but zeros; neuron 2 of a sparse projection has none at all."""
    net = snnfp.Network()
    x, h = net.input(3), net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    layout = {
        "dense": snnfp.Dense(weight=[[0.1, 0.0, 0.1], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        "sparse": snnfp.Sparse(sources=[0, 0, 1], targets=[0, 1, 1], weight=[0.1, 0.0, 0.0]),
        "one_to_one": snnfp.OneToOne(weight=[0.1, 0.0, 0.1]),
    }[kind]
    net.connect(x, h, layout, name="w")
    spikes = Spikes.from_latencies(np.full((3, 3), 0.1))
    _, gradient, record = snnfp.value_and_grad(
        net, spikes, [0, 1, 2], LOSS, until=4.0, return_record=True
    )
    expected = (3 if kind != "sparse" else 2) - keep_zero
    for remedy in (WeightBump, LabelBump):
        bump = remedy(amount=1.0, keep_zero=keep_zero)
        assert bump(net, record, [0, 1, 2], gradient)[1] == expected


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_weights_that_are_not_trained_or_held_by_bounds_stay_to_the_bit():
    remedies = [WeightBump(amount=0.1, keep_zero=False), LabelBump(amount=1.0, keep_zero=False)]
    net, data, _, _ = masked()
    before = dict(net.parameters)
    options = {**OPTIONS, "optimiser": Adam(lr=0.1), "epochs": 8, "clip_norm": 1.0}
    fit(net, data, remedies=remedies[:1], wrt="in.weight", **options)
    changed = {k for k, v in net.parameters.items() if v.tobytes() != before[k].tobytes()}
    assert changed == {"in.weight"}
    net, data, there, _ = masked()
    held = np.where(there, np.inf, 0.0)
    fit(net, data, remedies=remedies, bounds={"in.weight": (-held, held)}, **options)
    weight = net.parameters["in.weight"]
    assert not weight[~there].any() and np.any(weight[there] != 0.01)


def test_populations_as_one_text():
    with pytest.raises(
        TypeError, match="populations is 'hidden', expected a tuple of names or None"
    ):
        WeightBump(amount=1.0, populations="hidden")
    assert WeightBump(amount=1.0, populations=["hidden"]).populations == ("hidden",)
