"""Between events: the closed form of V and I, in mpmath."""

from __future__ import annotations

from dataclasses import dataclass

from mpmath import mp, mpf


@dataclass(frozen=True)
class Neuron:
    """Parameters as exact numbers; infinite time constants are rates of 0."""

    tau_mem: mpf
    tau_syn: mpf
    threshold: mpf
    v_reset: mpf
    t_refractory: mpf
    bias: mpf
    capacitance: mpf

    @classmethod
    def of(cls, **values: object) -> Neuron:
        return cls(**{k: mpf(v) for k, v in values.items()})

    @property
    def alpha(self) -> mpf:
        return mpf(0) if mp.isinf(self.tau_syn) else 1 / self.tau_syn

    @property
    def beta(self) -> mpf:
        return mpf(0) if mp.isinf(self.tau_mem) else 1 / self.tau_mem


def kappa(n: Neuron, d: mpf) -> mpf:
    a, b = n.alpha, n.beta
    if a == b:
        return d * mp.exp(-a * d)
    # Differences of nearly equal exponentials would cost the digits that derivatives need.
    return -mp.exp(-b * d) * mp.expm1((b - a) * d) / (a - b)


def charge(n: Neuron, d: mpf) -> mpf:
    """What a unit constant current adds to C V in time d."""
    return d if n.beta == 0 else (1 - mp.exp(-n.beta * d)) / n.beta


def voltage(n: Neuron, v: mpf, i: mpf, d: mpf) -> mpf:
    c = n.capacitance
    return v * mp.exp(-n.beta * d) + i / c * kappa(n, d) + n.bias / c * charge(n, d)


def current(n: Neuron, i: mpf, d: mpf) -> mpf:
    return i * mp.exp(-n.alpha * d)


def slope(n: Neuron, v: mpf, i: mpf) -> mpf:
    return -n.beta * v + (i + n.bias) / n.capacitance


def extremum(n: Neuron, v: mpf, i: mpf) -> mpf | None:
    """The one d > 0 with V' = 0, if there is one. V' = P e^(-b d) + Q e^(-a d)."""
    a, b, c = n.alpha, n.beta, n.capacitance
    if a == b:
        # V' = e^(-a d) (V'(0) - a i d / c)
        if i == 0 or a == 0:
            return None
        d = slope(n, v, i) * c / (a * i)
        return d if d > 0 else None
    q = -a / (b - a) * i / c if b != a else None
    p = slope(n, v, i) - q
    if p == 0 or q == 0 or p * q > 0:
        return None
    d = mp.log(-q / p) / (a - b)
    return d if d > 0 else None


def first_crossing(n: Neuron, v: mpf, i: mpf, span: mpf | None) -> mpf | None:
    """The first d in (0, span] at which V reaches the threshold from below; None if there is none."""
    top = n.threshold
    turn = extremum(n, v, i)
    ends = [mpf(0)]
    if turn is not None and (span is None or turn < span):
        ends.append(turn)
    if span is None:
        # V tends to its limit monotonically after the extremum: go far enough.
        limit = (
            n.bias * n.tau_mem / n.capacitance
            if n.beta > 0
            else (mp.inf if n.bias > 0 else v + i * n.tau_syn / n.capacitance)
        )
        far = ends[-1] + 1
        if n.alpha == 0:
            limit = mp.inf if n.beta == 0 else (n.bias + i) * n.tau_mem / n.capacitance
        if limit > top:
            while voltage(n, v, i, far) <= top:
                far *= 2
        ends.append(far)
    else:
        ends.append(span)
    for left, right in zip(ends, ends[1:], strict=False):
        low, high = voltage(n, v, i, left) - top, voltage(n, v, i, right) - top
        if high >= 0 and low < 0 and not (high == 0 and turn == right):
            return bisect(lambda d: voltage(n, v, i, d) - top, left, right)
        if high >= 0 and low == 0 and left == 0 and slope(n, v, i) < 0:
            return bisect(lambda d: voltage(n, v, i, d) - top, (left + right) / 2, right)
    return None


def bisect(f, left: mpf, right: mpf) -> mpf:
    """Root of a monotone function with f(left) < 0 <= f(right): regula falsi made safe."""
    fl, fr = f(left), f(right)
    eps = mpf(10) ** (-mp.dps + 8)
    for k in range(2000):
        if right - left <= eps * (1 + abs(right)):
            break
        middle = (left + right) / 2
        if k % 3 and fr != fl:
            guess = left - fl * (right - left) / (fr - fl)
            nudge = eps * (1 + abs(right)) / 4
            middle = min(max(guess + (nudge if k % 3 == 1 else -nudge), left), right)
            if middle in (left, right):
                middle = (left + right) / 2
        fm = f(middle)
        if fm < 0:
            left, fl = middle, fm
        else:
            right, fr = middle, fm
    return right
