"""A classifier and a regressor with scikit-learn's interface."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from snnfp.losses import FirstSpikeCrossEntropy, ReadoutCrossEntropy, ReadoutSquaredError
from snnfp.sklearn.base import SpikingEstimator
from snnfp.sklearn.networks import FIRST_SPIKES
from snnfp.sklearn.settings import READOUTS_OF_CLASSES, READOUTS_OF_NUMBERS

__all__ = ["SNNClassifier", "SNNRegressor"]

_ROUND_OFF = 10 * np.finfo(np.float64).eps


class SNNClassifier(ClassifierMixin, SpikingEstimator):
    """A classifier: a network of spiking neurons, fully connected, trained by exact gradients.

    A table is encoded by :func:`snnfp.encoding.latency`, one spike a value, after columns have been
    scaled to 0 ... 1; :class:`snnfp.Spikes` are taken as they are. Times are in a unit in which
    the encoded values take 1; those of ``Spikes`` are the user's.

    Args:
        hidden: neurons of each hidden layer.
        readout: what is read off the outputs, one a class: ``"weighted_integral"``, ``"integral"``,
            ``"end"`` or ``"max"`` of the voltage of outputs without threshold
            (:class:`snnfp.Reading`), or ``"first_spikes"`` of outputs that fire.
        tau_mem: membrane time constant of all neurons.
        tau_syn: synaptic time constant of all neurons.
        t_refractory: of the neurons that fire; inf: each fires at most once.
        until: the end of each sample.
        time_scale: of the weighted integral; None: half of ``until``.
        limits: what becomes 0 and 1 in a table: ``"columns"``, the smallest and largest training
            value of each column, ``"table"``, those of all columns together, or ``(low, high)``,
            numbers or arrays ``[d]``. Values beyond are clipped.
        t_max: the time of the value 1; that of 0 is 0.
        bias_time: time of a spike on one more channel, in every sample; None: no such channel.
        invert: larger values earlier.
        silent_at_zero: the value 0 gives no spike.
        lr: learning rate of Adam.
        epochs: passes over the training samples, along which the rate falls to 0.
        batch_size: samples a step.
        clip_norm: largest norm of a gradient; inf: any.
        patience: stop when the loss of held-out samples has not improved for so many epochs, with
            the best parameters; None: never.
        validation_fraction: of the training samples, held out if there is ``patience``.
        dtype: ``"float64"`` or ``"float32"``.
        random_state: of weights, of the order of samples and of which are held out.
        n_threads: None: all. The result is the same for any number.
        verbose: show where the training is.

    Attributes:
        classes_: in order.
        net_: the :class:`snnfp.Network`.
        history_: of :meth:`fit`, a :class:`snnfp.History`.
        n_iter_: epochs of :meth:`fit`.
        n_features_in_: columns, or channels of spikes.
        low_: what becomes 0 in a table.
        high_: what becomes 1.
    """

    _readouts = READOUTS_OF_CLASSES
    _checks_of_y: ClassVar[dict[str, bool]] = {}

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> SNNClassifier:
        """One pass over these samples, in steps that go on from those of earlier calls.

        The first call decides on limits and initial weights, and must be given all classes. Weights
        are taken as they are: within a call and from call to call.

        Args:
            X: as for :meth:`fit`.
            y: classes, one a sample.
            classes: all that will come; needed by the first call.
            sample_weight: as for :meth:`fit`.

        Returns:
            The estimator itself.

        Raises:
            ValueError: no classes in the first call, others later, or a class that is none of them.
        """
        if not hasattr(self, "net_"):
            if classes is None:
                raise ValueError("classes is None, expected all classes in the first call")
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes is {classes!r}, expected {self.classes_!r}, or None")
        self._partial_fit(X, y, sample_weight, classes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, that of the cross-entropy, ``[samples, classes]``."""
        probabilities = self._predict(X).probabilities
        assert probabilities is not None
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each sample."""
        chances = self.predict_proba(X)
        predicted: NDArray[Any] = self.classes_[np.argmax(chances, axis=1)]
        return predicted

    def _numbers(self, y: NDArray[Any], first: bool, classes: Any) -> NDArray[np.float64]:
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(y if classes is None else classes)
        at = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        unknown = np.flatnonzero(self.classes_[at] != y)
        if unknown.size:
            raise ValueError(f"y has {y[unknown[0]]!r}, expected one of {self.classes_!r}")
        return at[:, None].astype(np.float64)

    def _outputs(self) -> int:
        return len(self.classes_)

    def _loss(self) -> FirstSpikeCrossEntropy | ReadoutCrossEntropy:
        if self.readout == FIRST_SPIKES:  # outputs a hundredth of the time apart count as such
            return FirstSpikeCrossEntropy(tau0=self.until / 100, horizon=self.until)
        return ReadoutCrossEntropy(value=self.readout, time_scale=self._time_scale())


class SNNRegressor(MultiOutputMixin, RegressorMixin, SpikingEstimator):
    """A regressor: a network of spiking neurons, fully connected, trained by exact gradients.

    It minimises the squared error. Targets, one or several a sample, are scaled to mean 0 and
    standard deviation 1 for the network, and what it says is scaled back. Tables and
    :class:`snnfp.Spikes` are taken as by :class:`SNNClassifier`.

    Args:
        hidden: neurons of each hidden layer.
        readout: what is read off the outputs, one a target: ``"weighted_integral"``,
            ``"integral"``, ``"end"`` or ``"max"`` of their voltage (:class:`snnfp.Reading`).
        tau_mem: this and all others as for :class:`SNNClassifier`.

    Attributes:
        net_: the :class:`snnfp.Network`.
        history_: of :meth:`fit`, a :class:`snnfp.History`.
        n_iter_: epochs of :meth:`fit`.
        n_features_in_: columns, or channels of spikes.
        low_: what becomes 0 in a table.
        high_: what becomes 1.
        mean_: of each target.
        scale_: the standard deviation of each target.
    """

    _readouts = READOUTS_OF_NUMBERS
    _checks_of_y: ClassVar[dict[str, bool]] = {"multi_output": True, "y_numeric": True}

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SNNRegressor:
        """One pass over these samples, in steps that go on from those of earlier calls.

        The first call decides on limits, initial weights and the scale of the targets. Weights of
        samples are taken as they are: within a call and from call to call.

        Args:
            X: as for :meth:`fit`.
            y: numbers, one or several a sample.
            sample_weight: as for :meth:`fit`.

        Returns:
            The estimator itself.

        Raises:
            ValueError: another number of targets than in the first call.
        """
        self._partial_fit(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The targets of each sample, ``[samples]`` or ``[samples, targets]``, as in training."""
        said = np.asarray(self._predict(X).values, dtype=np.float64)
        targets: NDArray[np.float64] = self.mean_ + self.scale_ * said
        return targets[:, 0] if self._flat else targets

    def _numbers(self, y: NDArray[Any], first: bool, classes: Any) -> NDArray[np.float64]:
        table = y.reshape(len(y), -1).astype(np.float64)
        if first:
            self._flat = y.ndim == 1
        elif table.shape[1] != len(self.mean_):
            raise ValueError(
                f"y has {table.shape[1]} targets a sample, expected {len(self.mean_)} as in the "
                "first call"
            )
        return table

    def _scaled(
        self, target: NDArray[np.float64], weight: NDArray[np.float64], first: bool
    ) -> NDArray[np.float64]:
        if first:
            with np.errstate(over="ignore", invalid="ignore"):
                self.mean_ = np.average(target, axis=0, weights=weight)
                spread = np.sqrt(np.average((target - self.mean_) ** 2, axis=0, weights=weight))
            for k in np.flatnonzero(~np.isfinite(spread)):
                raise ValueError(
                    f"target {k} of y has the mean {self.mean_[k]:g} and the standard deviation "
                    f"{spread[k]:g}, expected finite ones"
                )
            # The mean of equal numbers is theirs but for round-off, which is no spread.
            self.scale_ = np.where(spread > _ROUND_OFF * np.abs(self.mean_), spread, 1.0)
        scaled: NDArray[np.float64] = (target - self.mean_) / self.scale_
        return scaled

    def _outputs(self) -> int:
        return len(self.mean_)

    def _loss(self) -> ReadoutSquaredError:
        return ReadoutSquaredError(value=self.readout, time_scale=self._time_scale())
