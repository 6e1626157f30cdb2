"""Data sets by take: trained on as Spikes are, never read as a whole, errors that name the sample."""

import re

import numpy as np
import pytest
import snnfp
from snnfp import Adam, Spikes, evaluate, fit, predict
from snnfp.data import Chosen, Encoded, Mapped
from test_resume import everything
from test_training import LOSS, OPTIONS, problem


class Source:
    """A data set that notes what is asked of it."""

    def __init__(self, spikes, change=lambda part: part):
        self.spikes, self.change, self.asked = spikes, change, []

    def __len__(self):
        return len(self.spikes)

    def take(self, samples):
        self.asked.append(samples)
        return self.change(self.spikes.take(samples))


def test_fit_evaluate_and_predict_take_them():
    """The same bits as with Spikes, and never more than a batch at once."""
    net, (spikes, labels) = problem()
    plain = fit(
        net,
        (spikes, labels),
        optimiser=Adam(lr=0.02),
        epochs=3,
        validation=(spikes, labels),
        **OPTIONS,
    )
    other, _ = problem()
    train, held_out = Source(spikes), Source(spikes)
    history = fit(
        other,
        (train, labels),
        optimiser=Adam(lr=0.02),
        epochs=3,
        validation=(held_out, labels),
        **OPTIONS,
    )
    assert everything(other, history) == everything(net, plain)
    assert max(a.size for a in train.asked) == OPTIONS["batch_size"]
    assert len(train.asked) == 1 + 3 * 3 and train.asked[0].tolist() == [0]
    source = Source(spikes)
    seen = evaluate(net, source, labels, LOSS, until=4.0, batch_size=7)
    expected = evaluate(net, spikes, labels, LOSS, until=4.0, batch_size=7)
    assert (seen.loss, seen.accuracy) == (expected.loss, expected.accuracy)
    assert max(a.size for a in source.asked) == 7
    said = predict(net, Source(spikes), LOSS, until=4.0, batch_size=7)
    assert np.array_equal(said.first_spikes, expected.prediction.first_spikes)


def two_inputs():
    net = snnfp.Network()
    a, b = net.input(2, name="a"), net.input(3, name="b")
    h = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    net.connect(a, h, snnfp.Dense(weight=snnfp.init.Normal(2.0, 1.0)))
    net.connect(b, h, snnfp.Dense(weight=snnfp.init.Normal(2.0, 1.0)))
    rng = np.random.default_rng(0)
    spikes = {
        "a": Spikes.from_latencies(rng.random((9, 2))),
        "b": Spikes.from_latencies(rng.random((9, 3))),
    }
    return net.initialise(0), spikes, rng.integers(0, 3, 9)


def test_several_inputs():
    """A source of mappings, or a mapping of sources and Spikes."""
    net, spikes, labels = two_inputs()
    expected = predict(net, spikes, LOSS, until=4.0).first_spikes

    class Both:
        def __len__(self):
            return 9

        def take(self, samples):
            return {k: v.take(samples) for k, v in spikes.items()}

    forms = [
        Both(),
        {"a": Source(spikes["a"]), "b": spikes["b"]},
        {k: Source(v) for k, v in spikes.items()},
    ]
    for form in forms:
        assert np.array_equal(
            predict(net, form, LOSS, until=4.0, batch_size=4).first_spikes, expected
        )
        fit(two_inputs()[0], (form, labels), optimiser=Adam(), epochs=1, **OPTIONS)
    with pytest.raises(
        ValueError, match=r"train\[0\]: the spikes of b have 5 samples, expected 9 as those of a"
    ):
        fit(
            net,
            ({"a": Source(spikes["a"]), "b": Source(spikes["b"][:5])}, labels),
            optimiser=Adam(),
            epochs=1,
            **OPTIONS,
        )
    with pytest.raises(
        ValueError, match=r"train\[0\].take\(\[0\]\) gave something else: spikes are for"
    ):
        fit(
            net,
            ({"a": Source(spikes["a"]), "c": Source(spikes["b"])}, labels),
            optimiser=Adam(),
            epochs=1,
            **OPTIONS,
        )


def test_encoded_mapped_chosen():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 256, (40, 6), dtype=np.uint8)

    def encode(part):
        return snnfp.encoding.latency(part / 255.0, t_min=0.0, t_max=2.0)

    whole = encode(features)
    lazy = Encoded(features, encode)
    assert len(lazy) == 40 and lazy.take([3, 1, 3]) == whole.take([3, 1, 3])
    cut = Mapped(lazy, lambda s: s.between(0.5, 1.5).shift(-0.5))
    assert cut.take(np.arange(40)) == whole.between(0.5, 1.5).shift(-0.5)
    assert Mapped(whole, lambda s: s.thin(1.0)).take([7]) == whole.take([7]).thin(1.0)
    part = Chosen(cut, np.arange(10, 20))
    assert len(part) == 10 and part.take([0, 9]) == cut.take([10, 19])
    assert repr(part) == "Chosen(10 samples of Mapped(Encoded(40 samples)))"
    for source in (lazy, cut, part):
        with pytest.raises(ValueError, match=r"samples\[1\] is 40, expected 0 <= sample < "):
            source.take([0, 40])
        with pytest.raises(ValueError, match="samples is empty"):
            source.take([])
    with pytest.raises(ValueError, match=r"samples\[1\] is -1, expected 0 <= sample < 40"):
        Chosen(lazy, [0, -1])
    with pytest.raises(TypeError, match="source is a list, expected something with len and take"):
        Mapped([1, 2], encode)
    with pytest.raises(TypeError, match="function is 3, expected"):
        Mapped(whole, 3)
    with pytest.raises(TypeError, match="encode is None, expected"):
        Encoded(features, None)
    with pytest.raises(TypeError, match="features is a int, expected an array"):
        Encoded(5, encode)


def only(sample, change):
    """A change to the batch that has this sample."""

    def take(source):
        def changed(part):
            return change(part) if sample in source.asked[-1] else part

        source.change = changed
        return source

    return take


WRONG = {
    "not spikes": (lambda s: Source(s, lambda part: [part]), TypeError, r"train[0].take([0]) gave something else: spikes is a list"),
    "other channels": (lambda s: Source(s, lambda part: part.beside(part)), ValueError, "train[0].take([0]) gave something else"),
    "too many": (lambda s: Source(s.take(np.arange(30)), lambda part: Spikes.concatenate([part, part])), ValueError, "train[0].take([0]) gave 2 samples for input, expected 1, one for each"),
    "labels": (lambda s: Source(s[:30]), ValueError, "train: 60 labels for 30 samples, expected one a sample"),
    "none": (lambda s: type("Empty", (), {"__len__": lambda self: 0, "take": lambda self, k: None})(), ValueError, "train[0] has 0 samples, expected at least one"),
    "no take": (lambda s: object(), TypeError, "train[0] is a object, expected snnfp.Spikes"),
    "an array": (lambda s: np.ones((60, 5)), TypeError, "train[0] is a ndarray, expected snnfp.Spikes"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes(mistake):
    make, kind, message = WRONG[mistake]
    net, (spikes, labels) = problem()
    if mistake == "too many":
        labels = labels[:30]
    with pytest.raises(kind, match=re.escape(message)):
        fit(net, (make(spikes), labels), optimiser=Adam(), epochs=1, **OPTIONS)


def test_an_error_in_a_batch_says_where():
    """A sample of the data set, not of the batch; the step; and what a user's own error says."""
    net, (spikes, labels) = problem()

    def with_nan(part):
        times = part.times.copy()
        times[part.offsets[np.flatnonzero(source.asked[-1] == 41)[0]]] = np.nan
        return Spikes(times, part.units, part.offsets, size=part.size)

    source = only(41, with_nan)(Source(spikes))
    order = np.random.default_rng([0, 0]).permutation(60)
    step = int(np.flatnonzero(order == 41)[0]) // 20 + 1
    with pytest.raises(
        ValueError, match=rf"^epoch 1, step {step} of 3: sample 41, spike 0: time nan"
    ):
        fit(net, (source, labels), optimiser=Adam(), epochs=1, **OPTIONS)
    with pytest.raises(ValueError, match=r"^evaluate: sample 41, spike 0: time nan"):
        evaluate(net, source, labels, LOSS, until=4.0, batch_size=16)
    with pytest.raises(ValueError, match=r"^predict: sample 41, spike 0: time nan"):
        predict(net, source, LOSS, until=4.0, batch_size=16)

    def broken(part):
        raise OSError("the disk is gone (sample 3 of mine)")

    source = only(41, broken)(Source(spikes))
    with pytest.raises(
        OSError, match=r"epoch 1, step \d of 3: the disk is gone \(sample 3 of mine\)"
    ):
        fit(net, (source, labels), optimiser=Adam(), epochs=1, **OPTIONS)
    features = np.full((60, 5), 0.5)
    features[41, 2] = 1.5
    lazy = Encoded(features, lambda part: snnfp.encoding.latency(part, t_min=0.5, t_max=2.0))
    with pytest.raises(ValueError, match=rf"^epoch 1, step {step} of 3: features\[41, 2\] is 1.5"):
        fit(net, (lazy, labels), optimiser=Adam(), epochs=1, **OPTIONS)
    with pytest.raises(ValueError, match=r"^predict: features\[41, 2\] is 1.5"):
        predict(net, Chosen(lazy, np.arange(60)), LOSS, until=4.0, batch_size=16)
    source = only(41, lambda part: part[:-1])(Source(spikes))
    with pytest.raises(
        ValueError, match=r"train\[0\].take\(\[.*\]\) gave 19 samples for input, expected 20"
    ):
        fit(net, (source, labels), optimiser=Adam(), epochs=1, **OPTIONS)
