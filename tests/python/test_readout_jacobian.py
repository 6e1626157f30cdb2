"""The Jacobian of what is read, on random networks: every row is the gradient of its value."""

import numpy as np
import pytest
import snnfp
from readout_networks import READINGS, listened, record_of
from test_readout_shared import KINDS, network


def rows_by_vjp(record, reading, wrt):
    """One gradient a value."""
    shape = record.readout(reading).shape
    rows = {}
    for k in range(int(np.prod(shape))):
        one = np.zeros(shape)
        one.reshape(-1)[k] = 1.0
        for name, gradient in record.vjp({reading: one}, wrt=wrt).items():
            rows.setdefault(name, []).append(gradient)
    return {n: np.array(r).reshape(shape + r[0].shape) for n, r in rows.items()}


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, rows in wanted.items():
        assert found[name].shape == rows.shape, name
        size = np.max(np.abs(rows), initial=0.0)
        assert np.max(np.abs(found[name] - rows), initial=0.0) <= 1e-12 * size, name


@pytest.mark.parametrize("recurrent", [False, True])
def test_random_networks(recurrent):
    checked = 0
    for seed in range(6):
        net, spikes = listened(seed, recurrent=recurrent, samples=3)
        record = record_of(net, spikes)
        for reading in READINGS:
            same(record.jacobian(of=reading, wrt="*"), rows_by_vjp(record, reading, "*"))
            checked += 1
    assert checked == 6 * len(READINGS)


@pytest.mark.parametrize(("connectivity", "outputs"), KINDS, ids=["convolution", "mask"])
def test_shared_weights(connectivity, outputs):
    net, spikes = network(connectivity, 12, outputs)
    record = record_of(net, spikes)
    reading = snnfp.Reading("out", "integral")
    same(record.jacobian(of=reading, wrt="*"), rows_by_vjp(record, reading, "*"))


def test_a_sample_has_its_own_rows():
    """Those of a batch are those of its samples one by one, silent ones and empty ones among them."""
    net, spikes = listened(2, samples=4)
    pieces = [spikes.take([k]) for k in range(4)]
    empty = snnfp.Spikes([], [], [0, 0], size=spikes.size)
    pieces.insert(1, empty)
    pairs = [(p.times, p.units) for p in pieces]
    batch = snnfp.Spikes.from_pairs(pairs, size=spikes.size)
    reading = READINGS[4]
    whole = record_of(net, batch).jacobian(of=reading, wrt=["*.weight", "*.tau_mem"])
    for s, piece in enumerate(pieces):
        alone = record_of(net, piece).jacobian(of=reading, wrt=["*.weight", "*.tau_mem"])
        for name, rows in alone.items():
            np.testing.assert_array_equal(whole[name][s], rows[0], err_msg=name)


def test_the_same_bits_for_any_number_of_threads():
    net, spikes = listened(3)
    record = record_of(net, spikes)
    one, three = (record.jacobian(of=READINGS[3], wrt="*", n_threads=n) for n in (1, 3))
    assert all(np.array_equal(one[name], three[name]) for name in one)


def test_of_some_parameters():
    """A selection has its own names only; by none upstream, none is asked for."""
    net, spikes = listened(4)
    record = record_of(net, spikes)
    whole = record.jacobian(of=READINGS[0], wrt="*")
    for wrt in ("out.*", "hidden.*", ["out.bias", "input.times"], "alike.*"):
        some = record.jacobian(of=READINGS[0], wrt=wrt)
        assert list(some) == list(net.select(wrt))
        assert all(np.array_equal(rows, whole[name]) for name, rows in some.items())
    assert not any(np.any(rows) for rows in record.jacobian(of=READINGS[0], wrt="alike.*").values())


def test_what_is_refused():
    net, spikes = listened(5)
    record = record_of(net, spikes)
    reading = READINGS[2]
    refused = [
        (ValueError, "out is for derivatives of spikes", {"of": reading, "out": np.zeros((1, 1))}),
        (ValueError, r"of is readout out, .*jacobian\(of=snnfp\.Reading\('out'", {"of": "out"}),
        (ValueError, r"of is readout out", {"of": net.readouts["out"]}),
        (KeyError, "'nobody' is not a readout", {"of": snnfp.Reading("nobody", "end")}),
        (ValueError, r"see jacobian\(of=snnfp\.Reading", {"of": "hidden", "wrt": "out.*"}),
    ]
    for error, message, options in refused:
        with pytest.raises(error, match=message):
            record.jacobian(**options)
    with pytest.raises(TypeError, match="expected spikes: jacobian has the derivatives"):
        next(record.jacobian_blocks(of=reading))
