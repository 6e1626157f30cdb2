"""What goes wrong on one rank: all end, and say which rank and what; none is left waiting."""

import os
import re
import signal

import numpy as np
import pytest
import snnfp
from snnfp import Adam, EarlyStopping, fit
from snnfp.errors import FormatError, RankError
from snnfp.ranks import Ranks
from test_ranks import OPTIONS
from test_training import LOSS, problem
from thread_ranks import ThreadComm, all_of, on_ranks


def ends(size, failing, kind, match, work):
    """Runs ``work`` on ranks: one raises ``kind``, the others say so. Returns the errors."""
    errors = on_ranks(size, work)
    assert isinstance(errors[failing], kind), errors[failing]
    assert re.search(match, str(errors[failing])), errors[failing]
    for rank, error in enumerate(errors):
        if rank != failing:
            assert isinstance(error, RankError) and error.rank == failing, error
            assert str(error).startswith(f"rank {failing} raised {type(errors[failing]).__name__}")
            assert re.search(match, str(error)), error
    return errors


def failing_loss(comm, rank, call, error):
    """A loss that raises on one rank, when it is called for that many times."""
    calls = []

    def loss(record, labels):
        calls.append(1)
        if comm.Get_rank() == rank and len(calls) == call:
            raise error
        return LOSS(record, labels)

    return loss


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize(
    ("error", "match"),
    [
        (ZeroDivisionError("no"), "epoch 2, step 2 of 3: no$"),
        (KeyboardInterrupt(), "^$|rank . raised KeyboardInterrupt$"),
        (SystemExit(3), "3$"),
        (MemoryError(), "^$|rank . raised MemoryError$"),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, BaseException) else "",
)
def test_an_error_in_a_batch(rank, error, match):
    """4 batches a step on 3 ranks: rank 0 has two of each full step, the others one."""
    call = {0: 8, 2: 4}[rank]

    def work(comm):
        net, data = problem()
        loss = failing_loss(comm, rank, call, error)
        fit(net, data, comm=comm, **{**OPTIONS, "loss": loss})

    for raised in ends(3, rank, type(error), match, work):
        assert len(raised.history) == 1
        assert "fit had done 4 steps and 1 whole epochs" in raised.__notes__[0]


def test_several_ranks_at_once():
    def work(comm):
        net, data = problem()
        rank = comm.Get_rank()
        loss = failing_loss(comm, rank if rank != 1 else -1, 1, ValueError(f"of {rank}"))
        fit(net, data, comm=comm, **{**OPTIONS, "loss": loss})

    errors = on_ranks(4, work)
    assert [type(e) for e in errors] == [ValueError, RankError, ValueError, ValueError]
    assert str(errors[1]) == (
        "rank 0 raised ValueError: epoch 1, step 1 of 3: of 0 (and rank 2, 3 failed too)"
    )


def stops(history, net):
    raise LookupError("a callback's")


def test_an_error_of_a_callback():
    def work(comm):
        net, data = problem()
        fit(net, data, comm=comm, callbacks=[stops], **OPTIONS)

    ends(3, 0, LookupError, "a callback's", work)


def test_an_error_in_a_step():
    def work(comm):
        net, data = problem()

        class Bad(snnfp.SGD):
            def update(self, parameters, gradients, state, *, factor=1.0):
                if comm.Get_rank() == 1:
                    raise OverflowError("a step's")
                return super().update(parameters, gradients, state, factor=factor)

        fit(net, data, comm=comm, **{**OPTIONS, "optimiser": Bad(lr=0.1)})

    ends(3, 1, OverflowError, "epoch 1, step 1 of 3: a step's", work)


def test_an_error_in_the_validation():
    def work(comm):
        net, data = problem()
        features, labels = snnfp.data.yin_yang(600, seed=1)
        spikes = snnfp.encoding.latency(features, t_min=0.5, t_max=2.0, bias_time=0.9)

        class Source:
            def __len__(self):
                return len(spikes)

            def take(self, chosen):
                if 599 in chosen:
                    raise OSError("cannot be read")
                return spikes.take(chosen)

        fit(net, data, validation=(Source(), labels), comm=comm, **OPTIONS)

    ends(2, 1, OSError, "validation after epoch 1: cannot be read", work)


def test_an_error_before_the_first_step():
    """On one rank only, wherever: the others wait for it in their first exchange."""

    def work(comm):
        net, data = problem()
        changes = {"epochs": 0} if comm.Get_rank() == 1 else {}
        fit(net, data, comm=comm, **{**OPTIONS, **changes})

    ends(3, 1, ValueError, "epochs is 0", work)

    def labels(comm):
        net, (spikes, labels) = problem()
        if comm.Get_rank() == 2:
            labels = labels + 1
        snnfp.evaluate(net, spikes, labels, LOSS, comm=comm)

    ends(3, 2, ValueError, r"labels\[\d+\] is 3, expected 0 <= label < 3", labels)


def test_files_that_rank_0_cannot_read_or_write(tmp_path):
    pytest.importorskip("safetensors")
    (tmp_path / "no").write_bytes(b"no checkpoint")

    def reads(comm):
        net, data = problem()
        fit(net, data, comm=comm, resume=tmp_path / "no", **OPTIONS)

    ends(2, 0, FormatError, "not a whole safetensors file", reads)

    def writes(comm):
        net, data = problem()
        fit(net, data, comm=comm, checkpoint=tmp_path / "nowhere" / "x", **OPTIONS)

    ends(2, 0, OSError, "nowhere", writes)


def test_a_file_that_cannot_be_written_at_the_end(tmp_path):
    """After the last step: the others have done all, and wait."""
    pytest.importorskip("safetensors")
    path = tmp_path / "folder" / "checkpoint"
    path.parent.mkdir()

    def work(comm):
        def spoil(history, net):
            path.parent.rmdir()

        net, data = problem()
        options = {**OPTIONS, "epochs": 1}
        fit(net, data, comm=comm, checkpoint=path, callbacks=[spoil], **options)

    errors = ends(2, 0, OSError, "folder", work)
    assert "1 whole epochs" in errors[0].__notes__[0]


def test_the_communicator_is_of_use_afterwards():
    def work(comm):
        net, data = problem()
        with pytest.raises((ZeroDivisionError, RankError)):
            loss = failing_loss(comm, 1, 2, ZeroDivisionError("no"))
            fit(net, data, comm=comm, **{**OPTIONS, "loss": loss})
        net, data = problem()
        return fit(net, data, comm=comm, **OPTIONS)["loss"]

    first, second = all_of(on_ranks(2, work))
    net, data = problem()
    assert first == second == fit(net, data, **OPTIONS)["loss"]


# -- ranks that are not about the same --------------------------------------------------------------


def other_network(net, data):
    other = snnfp.Network()
    neuron = snnfp.LIF(tau_mem=1.0, tau_syn=1.0)
    x, h = other.input(5), other.population(14, neuron, name="hidden")
    y = other.population(3, neuron, name="output")
    other.connect(x, h, snnfp.Dense(weight=1.0))
    other.connect(h, y, snnfp.Dense(weight=0.5))
    return other, data, {}


def other_spikes(net, data):
    spikes, labels = data
    times = np.array(spikes.times)
    times[-1] = np.nextafter(times[-1], np.inf)
    return net, (snnfp.Spikes(times, spikes.units, spikes.offsets, size=spikes.size), labels), {}


OTHERS = {
    "network": (other_network, r"network\.populations\.hidden: 15 -> 14;"),
    "start": (lambda n, d: (problem(seed=1)[0], d, {}), r"parameters\.input_to_hidden\.weight: an array"),
    "spikes": (other_spikes, r"train\.spikes\.times: an array of shape \[\d+\], \w+ -> an array"),
    "labels": (lambda n, d: (n, (d[0], (d[1] + 1) % 3), {}), r"train\.labels: an array"),
    "fewer": (lambda n, d: (n, (d[0][:50], d[1][:50]), {}), "train.samples: 60 -> 50"),
    "validation": (lambda n, d: (n, d, {"validation": d}), "validation: None -> "),
    "epochs": (lambda n, d: (n, d, {"epochs": 5}), "epochs: 4 -> 5$"),
    "seed": (lambda n, d: (n, d, {"seed": 1}), "settings.seed: 0 -> 1$"),
    "batch_size": (lambda n, d: (n, d, {"batch_size": 8}), "settings.batch_size: 7 -> 8$"),
    "lr": (lambda n, d: (n, d, {"optimiser": Adam(lr=0.1)}), r"settings\.optimiser\.lr: 0.02 -> 0.1$"),
    "loss": (
        lambda n, d: (n, d, {"loss": snnfp.losses.FirstSpikeCrossEntropy(tau0=0.4, horizon=4.0)}),
        r"settings\.loss\.tau0: 0.3 -> 0.4",
    ),
    "early stopping": (
        lambda n, d: (n, d, {"early_stopping": EarlyStopping(metric="loss")}),
        r"early_stopping: None -> EarlyStopping\(patience=10",
    ),
    "resume": (lambda n, d: (n, d, {"resume": "nowhere"}), "resume: False -> True$"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_ranks_that_differ(case):
    make, match = OTHERS[case]

    def work(comm):
        net, data = problem()
        changes = {}
        if comm.Get_rank() == 2:
            net, data, changes = make(net, data)
        fit(net, data, comm=comm, **{**OPTIONS, **changes})

    for error in on_ranks(4, work):
        assert type(error) is ValueError, error
        assert str(error).startswith("the ranks are not about the same, rank 0 -> rank 2: ")
        assert re.search(match, str(error)), error


def test_evaluate_compares_too():
    def work(comm):
        net, (spikes, labels) = problem()
        until = 4.0 if comm.Get_rank() == 0 else 3.0
        snnfp.evaluate(net, spikes, labels, LOSS, until=until, comm=comm)

    for error in on_ranks(2, work):
        assert str(error).endswith("rank 0 -> rank 1: settings.until: 4.0 -> 3.0"), error


def test_ranks_that_drift_apart():
    """A step of somebody's own that is another on another machine."""

    def work(comm):
        class Other(snnfp.SGD):
            def update(self, parameters, gradients, state, *, factor=1.0):
                new, state = super().update(parameters, gradients, state, factor=factor)
                more = 1e-15 * comm.Get_rank()
                return {k: v + more for k, v in new.items()}, state

        net, data = problem()
        fit(net, data, comm=comm, **{**OPTIONS, "optimiser": Other(lr=0.1)})

    for error in on_ranks(2, work):
        assert type(error) is ValueError and "rank 1: parameters after epoch 1" in str(error), error


# -- the exchange itself ---------------------------------------------------------------------------


def test_an_exchange_that_fails_ends_all(capsys):
    class Broken(ThreadComm):
        def alltoall(self, sendobj):
            if self._rank == 1 and self.exchanges == 3:
                raise OSError("the cable is out")
            return super().alltoall(sendobj)

    comms = []

    def work(comm):
        comm.__class__ = Broken
        comms.append(comm)
        net, data = problem()
        fit(net, data, comm=comm, **OPTIONS)

    errors = on_ranks(3, work)
    assert isinstance(errors[1], OSError)
    assert all(isinstance(e, Exception) for e in errors)
    assert all(c.aborted for c in comms)
    said = capsys.readouterr().err
    assert (
        "snnfp: rank 1: OSError: the cable is out in the middle of an exchange: all ranks are ended"
        in said
    )


class Mirror:
    """Two ranks, of which the other says what this one says."""

    def __init__(self, interrupted_at):
        self.said, self._at = [], interrupted_at

    def Get_rank(self):
        return 0

    def Get_size(self):
        return 2

    def alltoall(self, sendobj):
        self.said.append(sendobj[1])
        if len(self.said) == self._at:
            os.kill(os.getpid(), signal.SIGINT)
        return list(sendobj)

    def Abort(self, errorcode=0):
        raise AssertionError("nothing is to be aborted")


@pytest.mark.parametrize("at", [1, 2, 3])
def test_ctrl_c_in_the_middle_of_an_exchange_comes_after_it(at):
    """So that the others, who have had theirs, are told in the next one."""
    comm, before = Mirror(at), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Ranks(comm) as ranks:
        for k in range(2):
            assert ranks.from_first(k) == k
    assert signal.getsignal(signal.SIGINT) is before
    assert comm.said[:at] == [0, 1, None][:at]
    assert len(comm.said) == (3 if at == 3 else at + 1)
    # At the end of all there is nobody left to tell.
    assert comm.said[-1] is None if at == 3 else comm.said[-1].error == "KeyboardInterrupt"
