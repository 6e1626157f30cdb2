"""fit and evaluate on several ranks: the same bits for any number, and no rank left waiting."""

import pickle

import numpy as np
import pytest
import snnfp
from digests import digest
from snnfp import Adam, EarlyStopping, fit, schedules
from snnfp.errors import RankError
from snnfp.heuristics import RateBounds
from snnfp.remedies import LabelBump, WeightBump
from test_training import LOSS, everything, problem
from thread_ranks import all_of, on_ranks

SIZES = (1, 2, 3, 4)
OPTIONS = {
    "loss": LOSS, "until": 4.0, "progress": False, "batch_size": 7, "accumulate": 4, "n_threads": 1,
    "optimiser": Adam(lr=0.02), "epochs": 4,
}  # fmt: skip


class Own:
    """An optimiser of somebody's own."""

    lr = 0.05

    def init(self, parameters):
        return {}

    def update(self, parameters, gradients, state, *, factor=1.0):
        return {k: p - self.lr * factor * gradients[k] for k, p in parameters.items()}, state


def listening(dtype=np.float64):
    """A network that is read by a readout, and its options."""
    net, data = problem(dtype=dtype)
    out = net.readout(3, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="listener")
    net.connect(net.populations["hidden"], out, snnfp.Dense(weight=snnfp.init.Normal(0.3, 0.2)))
    return net.initialise(0), data


CASES = {
    "plain": {},
    "a step that is not full": {"accumulate": 5, "batch_size": 9},
    "a batch a rank": {"accumulate": 4, "batch_size": 15},
    "remedies and clipping": {
        "remedies": [WeightBump(amount=0.02), LabelBump(amount=0.5),
                     RateBounds(population="hidden", high=0.3, strength=1.0)],
        "clip_norm": 0.3,
    },
    "average, schedule, groups": {
        "average": 0.9,
        "schedule": schedules.Warmup(5, then=schedules.Cosine(4, by_step=True)),
        "wrt": ("*.weight", "*.delay", "hidden.threshold", "output.tau_mem"),
        "groups": {"*.delay": snnfp.Group(lr=0.05, clip_norm=0.1)},
        "bounds": {"*.weight": (-2.0, 3.0)},
    },
    "augmentation": {"augment": [snnfp.augment.Jitter(sigma=0.05)]},
    "forward": {"mode": "forward"},
    "an own optimiser": {"optimiser": Own()},
    "frozen": {"frozen": {"input_to_hidden.weight": np.arange(75).reshape(5, 15) % 3 == 0}},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_bits_for_any_number_of_ranks(case, dtype):
    """And those of a training without ranks; network and history of every rank."""
    options = {**OPTIONS, **CASES[case]}
    net, data = problem(dtype=dtype)
    alone = everything(net, fit(net, data, validation=data, **options))

    def work(comm):
        net, data = problem(dtype=dtype)
        return everything(net, fit(net, data, validation=data, comm=comm, **options))

    for size in SIZES:
        assert all_of(on_ranks(size, work)) == [alone] * size


def test_readouts_on_ranks():
    loss = snnfp.losses.ReadoutCrossEntropy(value="max")
    options = {**OPTIONS, "loss": loss}
    net, data = listening()
    alone = everything(net, fit(net, data, validation=data, **options))

    def work(comm):
        net, data = listening()
        return everything(net, fit(net, data, validation=data, comm=comm, **options))

    assert all_of(on_ranks(3, work)) == [alone] * 3


def test_one_rank_says_nothing_to_itself():
    def work(comm):
        net, data = problem()
        fit(net, data, comm=comm, **OPTIONS)
        return comm.exchanges

    assert on_ranks(1, work) == [0]


def test_work_is_shared():
    """Each rank computes the gradients of its own batches, and no others."""

    def work(comm):
        seen = []

        def loss(record, labels):
            seen.append(len(labels))
            return LOSS(record, labels)

        net, data = problem()
        fit(net, data, comm=comm, **{**OPTIONS, "loss": loss, "epochs": 1})
        return seen

    # 60 samples in batches of 7: two steps of four, and one of a single batch of 4.
    assert all_of(on_ranks(2, work)) == [[7, 7, 7, 7, 4], [7, 7, 7, 7]]
    assert all_of(on_ranks(4, work)) == [[7, 7, 4], [7, 7], [7, 7], [7, 7]]


class Watched:
    """Spikes that are taken batch by batch; notes how many at a time."""

    def __init__(self, spikes):
        self._spikes, self.taken = spikes, []

    def __len__(self):
        return len(self._spikes)

    def take(self, chosen):
        self.taken.append(len(chosen))
        return self._spikes.take(chosen)


def test_validation_is_shared_and_evaluate_says_the_same():
    net, _ = problem()
    features, labels = snnfp.data.yin_yang(1300, seed=5)
    spikes = snnfp.encoding.latency(features, t_min=0.5, t_max=2.0, bias_time=0.9)
    alone = snnfp.evaluate(net, spikes, labels, LOSS, until=4.0)

    def work(comm):
        net, data = problem()
        source = Watched(spikes)
        seen = snnfp.evaluate(net, source, labels, LOSS, until=4.0, comm=comm)
        held_out = Watched(spikes)
        history = fit(
            net, data, validation=(held_out, labels), comm=comm, **{**OPTIONS, "epochs": 1}
        )
        return seen, source.taken, held_out.taken, history.last("validation_loss")

    results = all_of(on_ranks(2, work))
    # A first sample is tried by each.
    assert [r[1] for r in results] == [r[2] for r in results] == [[1, 512, 276], [1, 512]]
    history = fit(net, problem()[1], validation=(spikes, labels), **{**OPTIONS, "epochs": 1})
    assert [r[3] for r in results] == history["validation_loss"] * 2
    for seen, *_ in results:
        assert (seen.loss, seen.accuracy, seen.silent) == (alone.loss, alone.accuracy, alone.silent)
        for name in ("labels", "first_spikes", "probabilities"):
            got, expected = getattr(seen.prediction, name), getattr(alone.prediction, name)
            assert np.array_equal(got, expected), name
        assert seen.prediction.values is None and len(seen.prediction) == 1300


def test_early_stopping_and_the_best_epoch():
    options = {
        **OPTIONS, "epochs": 30, "optimiser": Adam(lr=0.2),
        "early_stopping": EarlyStopping(patience=2, metric="validation_loss"),
    }  # fmt: skip
    net, data = problem()
    history = fit(net, data, validation=data, **options)
    assert 3 <= len(history) < 30

    def work(comm):
        net, data = problem()
        return everything(net, fit(net, data, validation=data, comm=comm, **options))

    assert all_of(on_ranks(3, work)) == [everything(net, history)] * 3


@pytest.mark.parametrize("average", [None, 0.9])
def test_callbacks_run_on_rank_0_and_speak_for_all(average):
    """What they put into the network and that they stop reaches the others."""
    options = {**OPTIONS, "average": average, "epochs": 9, "wrt": "*.weight"}
    called = []

    def change(history, net):
        called.append(len(history))
        net.parameters["output.threshold"] = net.parameters["output.threshold"] * 1.01
        weight = np.array(net.parameters["hidden_to_output.weight"])
        weight[0] = 0.5
        net.parameters["hidden_to_output.weight"] = weight
        return len(history) == 3

    net, data = problem()
    alone = everything(net, fit(net, data, callbacks=[change], **options))
    assert called == [1, 2, 3]

    def work(comm):
        net, data = problem()
        return everything(net, fit(net, data, callbacks=[change], comm=comm, **options))

    assert all_of(on_ranks(3, work)) == [alone] * 3
    assert called == [1, 2, 3] * 2


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 2), (3, None), (None, 2)])
def test_resume_on_another_number_of_ranks(tmp_path, before, after):
    """To the bit. Only rank 0 writes and reads; others need no file, nor the same start."""
    pytest.importorskip("safetensors")
    options = {**OPTIONS, "average": 0.9, "remedies": [LabelBump(amount=0.5)], "seed": 5}
    net, data = problem()
    whole = everything(net, fit(net, data, validation=data, **{**options, "epochs": 6}))

    def trained(size, epochs, seeds, **files):
        """On so many ranks, or without a communicator; each rank has a folder of its own."""

        def work(comm):
            rank = 0 if comm is None else comm.Get_rank()
            folder = tmp_path / str(rank)
            folder.mkdir(exist_ok=True)
            net, data = problem(seed=seeds * rank)
            own = {k: folder / v for k, v in files.items()}
            given = {**options, "epochs": epochs, **own}
            history = fit(net, data, validation=data, comm=comm, **given)
            return everything(net, history), sorted(p.name for p in folder.iterdir())

        return [work(None)] if size is None else all_of(on_ranks(size, work))

    written = [files for _, files in trained(before, 4, 0, checkpoint="checkpoint")]
    assert written == [["checkpoint"]] + [[]] * (len(written) - 1)
    again = [result for result, _ in trained(after, 6, 1, resume="checkpoint")]
    assert again == [whole] * (after or 1)


def test_rank_0_speaks_for_all(capsys):
    def work(comm):
        net, data = problem()
        fit(net, data, comm=comm, **{**OPTIONS, "progress": True, "epochs": 2})

    all_of(on_ranks(3, work))
    assert [line[:9] for line in capsys.readouterr().err.splitlines()] == ["epoch 1/2", "epoch 2/2"]


def test_a_step_needs_a_batch_for_each_rank():
    def work(comm):
        net, data = problem()
        fit(net, data, comm=comm, **{**OPTIONS, "accumulate": 2})

    for error in on_ranks(3, work):
        assert isinstance(error, ValueError)
        assert "comm has 3 ranks, which share the batches of a step, and accumulate is 2: " in str(
            error
        )
        assert "expected accumulate of at least 3" in str(error)


@pytest.mark.parametrize("comm", ["world", object(), 4, type("Comm", (), {"Get_rank": None})])
def test_a_communicator_that_is_none(comm):
    net, data = problem()
    with pytest.raises(TypeError, match=r"comm is .*, expected mpi4py's MPI.COMM_WORLD or another"):
        fit(net, data, comm=comm, **OPTIONS)


def test_rank_errors_pickle():
    error = RankError("rank 3 raised ValueError: no")
    error.rank = 3
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rank) == (str(error), 3)


def test_digests_see_a_changed_bit():
    """What the tests above compare does."""
    net, data = problem()
    fit(net, data, **OPTIONS)
    before = digest(*net.parameters.values())
    weight = np.array(net.parameters["hidden_to_output.weight"])
    weight[3, 1] = np.nextafter(weight[3, 1], np.inf)
    net.parameters["hidden_to_output.weight"] = weight
    assert digest(*net.parameters.values()) != before
