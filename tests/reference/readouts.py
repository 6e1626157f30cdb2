"""What is read off one neuron that only listens, in mpmath: V and its integrals in closed form, the
latter by quadrature too, the highest V by a search for where V' vanishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mpmath import mp, mpf


@dataclass(frozen=True)
class Listener:
    """A neuron, what arrives at it ((time, weight), in any order), and its state at time 0."""

    tau_mem: mpf
    tau_syn: mpf
    bias: mpf
    capacitance: mpf
    arrivals: tuple[tuple[mpf, mpf], ...]
    voltage: mpf = field(default_factory=mpf)
    current: mpf = field(default_factory=mpf)

    def response(self, d: mpf) -> mpf:
        """Of V to a unit of current / capacitance that arrived d before."""
        a, b = (1 / self.tau_syn, 1 / self.tau_mem)
        if a == b:
            return d * mp.exp(-a * d)
        return (mp.exp(-b * d) - mp.exp(-a * d)) / (a - b)

    def v(self, t: mpf) -> mpf:
        """V at a time."""
        b = 1 / self.tau_mem
        rise = t if b == 0 else (1 - mp.exp(-b * t)) / b
        current = self.current * self.response(t) + self.bias * rise
        current += sum(w * self.response(t - s) for s, w in self.arrivals if s <= t)
        return current / self.capacitance + self.voltage * mp.exp(-b * t)

    def pieces(self, until: mpf) -> list[mpf]:
        """Where V may bend: the arrivals, and both ends."""
        return sorted({mpf(0), until, *(s for s, _ in self.arrivals if s < until)})

    def quadrature(self, until: mpf, time_scale: mpf = mp.inf) -> mpf:
        """Of e^(-t / time_scale) V, from V alone."""
        return mp.quad(lambda t: mp.exp(-t / time_scale) * self.v(t), self.pieces(until))

    def integral(self, until: mpf, time_scale: mpf = mp.inf) -> mpf:
        """The same in closed form: as fast as derivatives by differences want it."""
        a, b, g = 1 / self.tau_syn, 1 / self.tau_mem, 1 / time_scale

        def power(r: mpf, d: mpf) -> mpf:  # of e^(-r u), up to d
            return d if r == 0 else (1 - mp.exp(-r * d)) / r

        def twice(r: mpf, s: mpf, d: mpf) -> mpf:  # of (e^(-s u) - e^(-r u)) / (r - s)
            if r == s:
                return d * d / 2 if r == 0 else (1 - mp.exp(-r * d) * (1 + r * d)) / r**2
            return (power(s, d) - power(r, d)) / (r - s)

        total = self.current * twice(a + g, b + g, until) + self.bias * twice(g, b + g, until)
        for s, w in self.arrivals:
            total += w * mp.exp(-g * s) * twice(a + g, b + g, until - s) if s <= until else 0
        return total / self.capacitance + self.voltage * power(b + g, until)

    def slope(self, t: mpf) -> mpf:
        """V' at a time; where an arrival falls on it, after that."""
        current = self.bias + self.current * mp.exp(-t / self.tau_syn)
        current += sum(w * mp.exp(-(t - s) / self.tau_syn) for s, w in self.arrivals if s <= t)
        return current / self.capacitance - self.v(t) / self.tau_mem

    def peak(self, until: mpf) -> mpf:
        """The time of the highest V: an arrival, an end, or where V' vanishes between them."""
        ends = self.pieces(until)
        times = list(ends)
        for left, right in zip(ends[:-1], ends[1:], strict=True):
            grid = [left + (right - left) * k / 8 for k in range(8)]
            grid.append(right - (right - left) * mpf(10) ** -20)  # before the arrival
            slopes = [self.slope(t) for t in grid]
            for k in range(8):
                if slopes[k] > 0 > slopes[k + 1]:
                    times.append(mp.findroot(self.slope, grid[k : k + 2], solver="ridder"))
        return max(times, key=self.v)

    def read(self, value: str, until: mpf, at: mpf, time_scale: mpf) -> mpf:
        """One value, by the names of the library."""
        match value:
            case "end":
                return self.v(until)
            case "at":
                return self.v(at)
            case "max":
                return self.v(self.peak(until))
            case "integral":
                return self.integral(until)
            case _:
                return self.integral(until, time_scale)


def derivative(of: Callable[[Listener], mpf], n: Listener, name: str, k: int = 0) -> mpf:
    """By a field of the neuron, or by ``"weight"`` or ``"time"`` of its arrival k; differences of
    order 4 at a step that leaves 30 digits."""
    step = mpf(10) ** -10

    def moved(by: mpf) -> Listener:
        if name in ("weight", "time"):
            arrivals = list(n.arrivals)
            s, w = arrivals[k]
            arrivals[k] = (s, w + by) if name == "weight" else (s + by, w)
            return replace(n, arrivals=tuple(arrivals))
        return replace(n, **{name: getattr(n, name) + by})

    stencil = ((-2, 1), (-1, -8), (1, 8), (2, -1))
    return sum(weight * of(moved(k * step)) for k, weight in stencil) / (12 * step)
