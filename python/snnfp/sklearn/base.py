"""What the estimators have in common: parameters, encoding, training, prediction."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from snnfp._warnings import warn
from snnfp.encoding import latency, scale_min_max
from snnfp.errors import UnusedInputWarning
from snnfp.evaluation import Prediction, predict
from snnfp.gradients import value_and_grad
from snnfp.history import EarlyStopping
from snnfp.optim import Adam, clip_by_norm
from snnfp.scaling import scale_readout
from snnfp.schedules import Cosine
from snnfp.sklearn.networks import FIRST_SPIKES, layered, trained
from snnfp.sklearn.samples import as_spikes, as_weights, merge_equal
from snnfp.sklearn.settings import check_encoding, check_settings, layers_of, limits_of
from snnfp.sklearn.weighted import Weighted
from snnfp.spikes import Spikes
from snnfp.training import fit

__all__ = ["SpikingEstimator"]

_MEASURED = 200  # samples that the outputs are scaled by


class SpikingEstimator(BaseEstimator):
    """What a classifier and a regressor share; see :class:`SNNClassifier` for the parameters."""

    _readouts: ClassVar[tuple[str, ...]]
    _checks_of_y: ClassVar[dict[str, bool]]
    _state: dict[str, NDArray[Any]] | None  # of the optimiser, from one call to the next

    def __init__(
        self,
        *,
        hidden: Any = (100,),
        readout: str = "weighted_integral",
        tau_mem: float = 2.0,
        tau_syn: float = 2.0,
        t_refractory: float = math.inf,
        until: float = 2.0,
        time_scale: float | None = None,
        limits: Any = "columns",
        t_max: float = 1.0,
        bias_time: float | None = 0.5,
        invert: bool = False,
        silent_at_zero: bool = False,
        lr: float = 0.01,
        epochs: int = 50,
        batch_size: int = 32,
        clip_norm: float = math.inf,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        dtype: str = "float64",
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.readout = readout
        self.tau_mem = tau_mem
        self.tau_syn = tau_syn
        self.t_refractory = t_refractory
        self.until = until
        self.time_scale = time_scale
        self.limits = limits
        self.t_max = t_max
        self.bias_time = bias_time
        self.invert = invert
        self.silent_at_zero = silent_at_zero
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.clip_norm = clip_norm
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.dtype = dtype
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose

    # -- what a classifier and a regressor do differently ----------------------------------------

    def _numbers(self, y: NDArray[Any], first: bool, classes: Any) -> NDArray[np.float64]:
        """The targets as numbers ``[samples, k]``; of a ``first`` call, learns what they can be.

        Args:
            y: of the samples that have a weight.
            first: whether this is the first call for this network.
            classes: that there are; None: those of y.
        """
        raise NotImplementedError

    def _scaled(
        self, target: NDArray[np.float64], weight: NDArray[np.float64], first: bool
    ) -> NDArray[np.float64]:
        """The targets as the loss takes them; of a ``first`` call, learns their size."""
        return target

    def _outputs(self) -> int:
        """How many there are."""
        raise NotImplementedError

    def _loss(self) -> Any:
        """The loss, of one sample as of another."""
        raise NotImplementedError

    def _time_scale(self) -> float | None:
        """Of the value that is read, if it has one."""
        if self.readout == "weighted_integral" and self.time_scale is None:
            return 0.5 * self.until
        return self.time_scale

    # -- training --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains a new network.

        Args:
            X: a table ``[samples, d]``, or :class:`snnfp.Spikes`.
            y: what to predict, one a sample.
            sample_weight: one a sample, >= 0; None: all alike. To weight a sample of a table by 3
                is to give it three times, to the bit.

        Returns:
            The estimator itself.

        Raises:
            TypeError, ValueError: a parameter, or data, that cannot be.
        """
        self._begin()
        if hasattr(self, "net_"):
            del self.net_  # should this fail: it is not of the classes and limits of now
        spikes, labels = self._samples(X, y, sample_weight, first=True)
        labels[:, 0] *= len(labels) / labels[:, 0].sum()
        train: Any = (spikes, labels)
        stop: dict[str, Any] = {}
        if self.patience is not None:
            rule = EarlyStopping(patience=self.patience, metric="validation_loss")
            train, held_out = self._split(spikes, labels)
            stop = {"validation": held_out, "early_stopping": rule}
        self._build(train[0])
        self.history_ = fit(
            self.net_,
            train,
            loss=Weighted(self._loss()),
            optimiser=Adam(lr=self.lr),
            epochs=self.epochs,
            batch_size=self.batch_size,
            schedule=Cosine(self.epochs, by_step=True),
            wrt=trained(self.net_),
            until=self.until,
            seed=self._seed(),
            clip_norm=self.clip_norm,
            progress=bool(self.verbose),
            n_threads=self.n_threads,
            **stop,
        )
        self.n_iter_ = len(self.history_)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        """One pass over these samples, in steps that go on from those of earlier calls."""
        first = not hasattr(self, "net_")
        if first:
            self._begin()
        else:
            check_settings(self, self._readouts)
        spikes, labels = self._samples(X, y, sample_weight, first, classes)
        if first:
            self._build(spikes)
        net, names = self.net_, trained(self.net_)
        optimiser, loss = Adam(lr=self.lr), Weighted(self._loss())
        state = self._state
        if state is None:
            state = optimiser.init({n: net.parameters[n] for n in names})
        order = self._random.permutation(len(labels))
        for begin in range(0, len(order), self.batch_size):
            chosen = order[begin : begin + self.batch_size]
            _, gradient = value_and_grad(
                net,
                spikes.take(chosen),
                labels[chosen],
                loss,
                wrt=names,
                until=self.until,
                n_threads=self.n_threads,
            )
            if math.isfinite(self.clip_norm):
                gradient, _ = clip_by_norm(gradient, self.clip_norm)
            after, state = optimiser.update({n: net.parameters[n] for n in names}, gradient, state)
            net.parameters.update(after)
        self._state = state

    def _begin(self) -> None:
        """Checks the parameters, and forgets the steps of earlier calls."""
        check_settings(self, self._readouts)
        self._random = check_random_state(self.random_state)
        self._state = None

    def _seed(self) -> int:
        return int(self._random.randint(2**31 - 1))

    def _split(self, spikes: Spikes, labels: NDArray[np.float64]) -> tuple[Any, Any]:
        """Samples to train on, and those that are held out."""
        n = len(labels)
        if n < 2:
            raise ValueError(
                f"X has {n} sample (equal ones are one), expected two with patience: one to train "
                "on and one that is held out"
            )
        order = self._random.permutation(n)
        held = min(n - 1, max(1, round(self.validation_fraction * n)))
        parts = order[held:], order[:held]
        train, held_out = ((spikes.take(part), labels[part]) for part in parts)
        return train, held_out

    def _build(self, spikes: Spikes) -> None:
        """A new network for such samples, what is read off it of size 1."""
        late = int(np.count_nonzero(spikes.times > self.until))
        if 0 < late < spikes.times.size:  # of all of them the simulation warns
            warn(
                f"{late} of {spikes.times.size} spikes of X come after until = {self.until:g} and "
                f"are not heard (the last at {spikes.times.max():g}): a larger until, with time "
                "constants to match, hears them",
                UnusedInputWarning,
            )
        net = layered(
            spikes.size,
            layers_of(self),
            self._outputs(),
            spikes=spikes.times.size / len(spikes),
            readout=self.readout,
            tau_mem=self.tau_mem,
            tau_syn=self.tau_syn,
            t_refractory=self.t_refractory,
            dtype=self.dtype,
            seed=self._seed(),
        )
        if self.readout != FIRST_SPIKES:
            # From all over: samples of a table are in the order of their values.
            chosen = np.linspace(0, len(spikes) - 1, min(_MEASURED, len(spikes)), dtype=np.int64)
            some = spikes.take(chosen)
            scale_readout(net, some, self._loss(), until=self.until, n_threads=self.n_threads)
        self.net_ = net

    # -- samples ---------------------------------------------------------------------------------

    def _samples(
        self, X: Any, y: Any, sample_weight: Any, first: bool, classes: Any = None
    ) -> tuple[Spikes, NDArray[np.float64]]:
        """Spikes and labels for :class:`Weighted`, of the samples that have a weight."""
        features: Any = self._events(X, first)
        if features is None:
            features, y = validate_data(
                self, X, y, reset=first, dtype=np.float64, **self._checks_of_y
            )
            check_encoding(self)
        else:
            y = validate_data(self, y=y, reset=first, **self._checks_of_y)
            check_consistent_length(features, y)
        weight = as_weights(sample_weight, features)
        there = np.flatnonzero(weight)
        target, weight = self._numbers(y[there], first, classes), weight[there]
        if isinstance(features, Spikes):
            features = features.take(there)
        else:
            features, target, weight = merge_equal(features[there], target, weight)
            if first:
                self.low_, self.high_ = limits_of(self, features)
        target = self._scaled(target, weight, first)
        return self._encode(features), np.column_stack([weight, target])

    def _events(self, X: Any, first: bool) -> Spikes | None:
        """X if it is spikes; None if it is a table.

        Raises:
            TypeError: it is the one, and what was trained on the other.
            ValueError: it has another number of channels.
        """
        spikes = as_spikes(X)
        kind = "a table" if spikes is None else "snnfp.Spikes"
        if first:
            self._kind = kind
        elif self._kind != kind:
            raise TypeError(f"X is {kind}, expected {self._kind}, as what was trained on")
        if spikes is None:
            return None
        if first:
            self.n_features_in_ = spikes.size
        elif spikes.size != self.n_features_in_:
            raise ValueError(
                f"X has {spikes.size} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return spikes

    def _encode(self, features: Any) -> Spikes:
        """A table as spikes; spikes as they are."""
        if isinstance(features, Spikes):
            return features
        return latency(
            scale_min_max(features, self.low_, self.high_),
            t_min=0.0,
            t_max=self.t_max,
            bias_time=self.bias_time,
            invert=bool(self.invert),
            silent_at_zero=bool(self.silent_at_zero),
        )

    def _predict(self, X: Any) -> Prediction:
        check_is_fitted(self, "net_")
        features: Any = self._events(X, first=False)
        if features is None:
            features = validate_data(self, X, reset=False, dtype=np.float64)
        spikes = self._encode(features)
        return predict(self.net_, spikes, self._loss(), until=self.until, n_threads=self.n_threads)
