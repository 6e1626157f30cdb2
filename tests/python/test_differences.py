"""The gradient against differences of the whole simulation, on 1000 random networks."""

import os

import numpy as np
import snnfp
from networks import quiet, random_network

N_NETWORKS = int(os.environ.get("SNNFP_DIFFERENCE_NETWORKS", "1000"))
UNTIL = 8.0
STEP = 1e-6
# Derivatives of order four, in the middle and at the edge of a parameter's domain.
CENTRAL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
ONE_SIDED = ((0, -25 / 12), (1, 4.0), (2, -3.0), (3, 4 / 3), (4, -1 / 4))
FROM_ZERO = ("delay", "t_refractory", "times")


class Case:
    """A network, its spikes, and the gradient of a sum of its spike times."""

    def __init__(self, seed):
        rng = np.random.default_rng(10_000 + seed)
        self.net, self.spikes = random_network(
            rng, samples=1, recurrent=seed % 2 == 0, until=UNTIL, hidden=int(rng.integers(3, 8))
        )
        self.rng = rng
        self.record = self.run(self.spikes)
        self.u = np.cos(np.arange(self.record.n_spikes))
        mode = ("reverse", "forward")[seed // 2 % 2]
        self.gradient = self.record.vjp(self.u, wrt="*", mode=mode)

    def run(self, spikes):
        return quiet(self.net, spikes, until=UNTIL, n_threads=1)

    def value(self, name, flat):
        """The sum of spike times with a parameter replaced; None where the pattern differs."""
        if name == "input.times":
            order = np.argsort(flat, kind="stable")
            moved = snnfp.Spikes(flat[order], self.spikes.units[order], [0, flat.size], size=4)
            record = self.run(moved)
        else:
            before = self.net.parameters[name]
            self.net.parameters[name] = flat.reshape(before.shape)
            record = self.run(self.spikes)
            self.net.parameters[name] = before
        if not np.array_equal(record.neurons, self.record.neurons):
            return None
        return float(self.u @ record.times)

    def finite(self, name):
        """A parameter or the input times, flat, and where they are finite."""
        own = self.spikes.times if name == "input.times" else self.net.parameters[name]
        return own.reshape(-1), np.flatnonzero(np.isfinite(own))

    def error(self, name):
        """Of one random finite element: the relative error; None: left out."""
        flat, finite = self.finite(name)
        k = int(self.rng.choice(finite))
        h = STEP * max(abs(flat[k]), 1.0)
        edge = name.endswith(FROM_ZERO) and flat[k] < 2 * h
        total = 0.0
        for steps, weight in ONE_SIDED if edge else CENTRAL:
            moved = flat.copy()
            moved[k] += steps * h
            value = self.value(name, moved)
            if value is None:
                return None
            total += weight * value
        exact = self.gradient[name].reshape(-1)
        scale = np.max(np.abs(exact))
        apart = abs(total / h - exact[k])
        return float(apart / scale) if scale > 1e-6 else float(apart)


def test_a_thousand_networks():
    """Half without loops; most hidden neurons fire several times."""
    errors, left_out, infinite, several, neurons = [], 0, 0, 0, 0
    for seed in range(N_NETWORKS):
        case = Case(seed)
        counts = case.record.counts("hidden")
        several += int(np.sum(counts > 1))
        neurons += counts.size
        for name in case.gradient:
            if not case.finite(name)[1].size:
                infinite += 1
            elif (error := case.error(name)) is None:
                left_out += 1
            else:
                errors.append(error)
    assert several >= neurons / 2
    assert len(errors) >= 15 * N_NETWORKS and infinite > 0
    assert left_out <= 0.05 * (len(errors) + left_out)
    assert np.median(errors) <= 1e-8
    assert np.quantile(errors, 0.999) <= 1e-5
