"""fit and evaluate end samples early where all that reads them looks at first spikes."""

import numpy as np
import pytest
import snnfp
from snnfp import Adam, evaluate, fit
from snnfp.errors import SilentPopulationWarning
from snnfp.losses import FirstSpikeCrossEntropy
from snnfp.remedies import LabelBump, WeightBump
from test_training import LOSS, OPTIONS, problem

UNTIL = 4.0


class Watched(FirstSpikeCrossEntropy):
    """The loss, keeping how far the samples it sees were simulated."""

    def looks_at(self, net):
        return super().looks_at(net)

    def __call__(self, record, labels):
        ENDS.append(record.ends.copy())
        return super().__call__(record, labels)


class Whole(Watched):
    """The same, without a word of what it looks at: its own ``__call__`` may look at anything."""

    def __call__(self, record, labels):
        return super().__call__(record, labels)


ENDS = []
VALUES = {"tau0": LOSS.tau0, "tau1": LOSS.tau1, "gamma": LOSS.gamma, "horizon": LOSS.horizon}


def late():
    """Some hidden neurons fire only after all outputs have, others never; one output in some."""
    net, data = problem()
    key = "input_to_hidden.weight"
    weights = net.parameters[key].copy()
    weights[:, :3] *= 0.35
    weights[:, 3] = 0.01
    net.parameters[key] = weights
    return net, data


def trained(kind, remedies=(), make=problem, validated=False, **options):
    """Parameters, figures that must not change, and where samples ended."""
    net, data = make()
    ENDS.clear()
    given = {**OPTIONS, "loss": kind(**VALUES), **options}
    if validated:
        given["validation"] = data
    history = fit(net, data, optimiser=Adam(lr=0.03), epochs=3, remedies=remedies, **given)
    unlike = ("seconds", "min_slope", "near_tangent", "silent/hidden", "silent/output")
    unlike += ("spikes/hidden", "spikes/output", "deliveries")
    figures = {name: figure for name, figure in history.epochs.items() if name not in unlike}
    return net.flatten(), figures, np.concatenate(ENDS)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_fit_learns_the_same_to_the_bit(mode):
    early, figures, ends = trained(Watched, validated=True, mode=mode)
    whole, expected, unto = trained(Whole, validated=True, mode=mode)
    assert np.array_equal(early, whole) and figures == expected
    assert np.all(unto == UNTIL)
    assert np.mean(ends < UNTIL) > 0.5


@pytest.mark.parametrize(
    "remedies, ends_early",
    [
        ([LabelBump(amount=0.1)], True),
        ([WeightBump(amount=0.01, populations=("output",))], True),
        ([WeightBump(amount=0.01, populations=("hidden",)), LabelBump(amount=0.1)], False),
        ([WeightBump(amount=0.01)], False),
    ],
)
@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_remedies_see_what_they_see_of_whole_samples(remedies, ends_early):
    early, figures, ends = trained(Watched, remedies, late)
    whole, expected, _ = trained(Whole, remedies, late)
    assert np.array_equal(early, whole) and figures == expected
    assert bool(np.mean(ends < UNTIL) > 0.5) == ends_early
    if any(isinstance(r, WeightBump) and r.populations != ("output",) for r in remedies):
        assert sum(figures["remedied"]) > 0


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_neurons_that_fire_late_are_not_helped():
    """Samples that ended with the outputs would make more hidden neurons silent than there are."""
    net, (spikes, _) = late()
    record = snnfp.simulate(net, spikes, until=UNTIL)
    early = snnfp.simulate(net, spikes, until=UNTIL, stop_after=["output"])
    assert early.fires("hidden").sum() < record.fires("hidden").sum() < 15


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_a_user_s_own_remedy_has_the_whole_record():
    seen = []

    def remedy(net, record, labels, gradients):
        seen.append(record.ends)
        return gradients, 0

    assert np.all(trained(Watched, [remedy])[2] == UNTIL)
    assert np.all(np.concatenate(seen) == UNTIL)


@pytest.mark.parametrize("method", ["accuracy", "predict"])
@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_a_user_s_own_accuracy_has_the_whole_record(method):
    def most_spikes(self, record, *labels):
        ENDS.append(record.ends)
        chosen = record.counts("output").argmax(axis=1)
        return np.mean(chosen == labels[0]) if labels else chosen

    kind = type("MostSpikes", (FirstSpikeCrossEntropy,), {method: most_spikes})
    _, _, ends = trained(kind, validated=True)
    assert np.all(ends == UNTIL)
    net, (spikes, labels) = problem()
    counts = snnfp.simulate(net, spikes, until=UNTIL).counts("output")
    seen = evaluate(net, spikes, labels, kind(**VALUES), until=UNTIL)
    assert seen.accuracy == np.mean(counts.argmax(axis=1) == labels)


def test_evaluate_says_the_same():
    net, (spikes, labels) = problem()
    ENDS.clear()
    seen = evaluate(net, spikes, labels, Watched(**VALUES), until=UNTIL)
    assert np.mean(ENDS[0] < UNTIL) > 0.5
    whole = evaluate(net, spikes, labels, Whole(**VALUES), until=UNTIL)
    assert np.all(ENDS[1] == UNTIL)
    assert (seen.loss, seen.accuracy) == (whole.loss, whole.accuracy)
    for name in ("labels", "first_spikes", "probabilities"):
        a, b = getattr(seen.prediction, name), getattr(whole.prediction, name)
        assert np.array_equal(a, b)


def test_silence_is_that_of_what_was_simulated():
    net = snnfp.Network()
    x = net.input(1)
    y = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    after = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="after")
    net.connect(x, y, snnfp.Dense(weight=[[5.0]]))
    net.connect(x, after, snnfp.Dense(weight=[[5.0, 4.0]], delay=2.0))
    data = snnfp.Spikes.from_latencies([[0.5]]), [0]
    options = {**OPTIONS, "loss": FirstSpikeCrossEntropy(population="y", **VALUES)}
    with pytest.warns(
        SilentPopulationWarning,
        match=r"after fires no spike .* epoch 1, whose samples end once all of y have fired, so no",
    ):
        history = fit(net, data, optimiser=Adam(), epochs=1, **options)
    assert history["silent/after"] == [1.0] and history["silent/y"] == [0.0]
    assert evaluate(net, *data, options["loss"], until=UNTIL).silent == {"y": 0.0, "after": 1.0}
    everything = {**options, "remedies": [lambda net, record, labels, gradients: (gradients, 0)]}
    history = fit(net, data, optimiser=Adam(), epochs=1, **everything)
    assert history["silent/after"] == [0.0]
