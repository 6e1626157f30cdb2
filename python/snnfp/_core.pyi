# The compiled module, as pybind11 sees it; tests/python/test_stub.py holds the two together.
# Arrays are taken as they are: of exactly this dtype and C-contiguous.

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

# times, units, offsets; one a group of units
_Spikes = tuple[NDArray[_Real], NDArray[np.int32], NDArray[np.int64]]
# sample, neuron, time, excess
_Missing = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]
# spike, sample, neuron, time, reason, value
_Impossible = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.float64],
    NDArray[np.uint8],
    NDArray[np.float64],
]
# offsets, times, neurons, slopes, release currents, residuals
_Parts = tuple[
    NDArray[np.int64],
    NDArray[_Real],
    NDArray[np.int32],
    NDArray[_Real],
    NDArray[_Real],
    NDArray[_Real],
]

version: str
compiler: str
build_type: str

class Isa(Enum):
    best = 0
    portable = 1
    avx2 = 2
    avx512 = 3

class Engine(Enum):
    automatic = 0
    queue = 1

class Solver(Enum):
    layer = 0
    loop = 1
    windows = 2
    queue = 3

class Adjoint(Enum):
    layer = 0
    loop = 1

OnFault = Enum("OnFault", {"raise": 0, "drop": 1, "keep": 2})

class ImpossibleReason(Enum):
    outside = 0
    refractory = 1
    falling = 2
    residual = 3

class DelayPer(Enum):
    projection = 0
    source = 1
    target = 2
    synapse = 3
    weight = 4

class ReadoutValue(Enum):
    voltage = 0
    maximum = 1
    integral = 2

class NeuronParameter(Enum):
    tau_mem = 0
    tau_syn = 1
    threshold = 2
    v_reset = 3
    t_refractory = 4
    bias = 5
    capacitance = 6

class ParameterKind(Enum):
    neuron = 0
    weight = 1
    delay = 2
    input_times = 3

class Parameter:
    def __init__(self, kind: ParameterKind, index: int, neuron: NeuronParameter) -> None: ...
    @property
    def kind(self) -> ParameterKind: ...
    @property
    def index(self) -> int: ...
    @property
    def neuron(self) -> NeuronParameter: ...
    def __getstate__(self, /) -> tuple[ParameterKind, int, NeuronParameter]: ...
    def __setstate__(self, arg0: tuple[ParameterKind, int, NeuronParameter]) -> None: ...

class Execution:
    def __init__(self, n_threads: int, isa: Isa, poll: bool) -> None: ...

class _Network(Generic[_Real]):
    def __init__(self) -> None: ...
    def __copy__(self) -> _Network[_Real]: ...
    def add_input(self, name: str, size: int) -> int: ...
    def add_population(
        self,
        name: str,
        size: int,
        parameters: Mapping[NeuronParameter, NDArray[_Real]],
        max_spikes: int | None = None,
    ) -> int: ...
    def connect_dense(
        self,
        from_input: bool,
        source: int,
        target: int,
        weight: NDArray[_Real],
        delay: NDArray[_Real],
        name: str,
        delay_per: DelayPer | None = None,
        weight_of: NDArray[np.int32] | None = None,
    ) -> int: ...
    def connect_one_to_one(
        self,
        from_input: bool,
        source: int,
        target: int,
        weight: NDArray[_Real],
        delay: NDArray[_Real],
        name: str,
        delay_per: DelayPer | None = None,
        weight_of: NDArray[np.int32] | None = None,
    ) -> int: ...
    def connect_sparse(
        self,
        from_input: bool,
        source: int,
        target: int,
        row_offsets: NDArray[np.int64],
        targets: NDArray[np.int32],
        weight: NDArray[_Real],
        delay: NDArray[_Real],
        name: str,
        delay_per: DelayPer | None = None,
        weight_of: NDArray[np.int32] | None = None,
    ) -> int: ...
    def set_parameter(
        self, population: int, parameter: NeuronParameter, values: NDArray[_Real]
    ) -> None: ...
    def set_weight(self, projection: int, values: NDArray[_Real]) -> None: ...
    def set_delay(
        self, projection: int, values: NDArray[_Real], per: DelayPer | None = None
    ) -> None: ...

class NetworkFloat32(_Network[np.float32]): ...
class NetworkFloat64(_Network[np.float64]): ...

class _Jacobian(Generic[_Real]):
    def solve(self, begin: int, end: int, out: NDArray[_Real]) -> None: ...

class RecordFloat32Jacobian(_Jacobian[np.float32]): ...
class RecordFloat64Jacobian(_Jacobian[np.float64]): ...

class _Record(Generic[_Real]):
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def times(self) -> NDArray[_Real]: ...
    @property
    def neurons(self) -> NDArray[np.int32]: ...
    @property
    def slopes(self) -> NDArray[_Real]: ...
    @property
    def release_currents(self) -> NDArray[_Real]: ...
    @property
    def residuals(self) -> NDArray[_Real]: ...
    @property
    def ran(self) -> list[tuple[list[int], Solver, Adjoint]]: ...
    @property
    def isa(self) -> Isa: ...
    @property
    def missing(self) -> _Missing: ...
    @property
    def impossible(self) -> _Impossible: ...
    @property
    def initial(self) -> tuple[NDArray[_Real], NDArray[_Real]]: ...
    @property
    def first_spikes_of(self) -> list[int]: ...
    @property
    def stop_after(self) -> list[int]: ...
    def first_spikes(self, population: int) -> NDArray[np.int64]: ...
    def ends(self) -> NDArray[_Real]: ...
    def silent(self, population: int) -> bool: ...
    def vjp(
        self, cotangents: NDArray[_Real], wrt: Sequence[Parameter], execution: Execution
    ) -> NDArray[_Real]: ...
    def forward_gradient(
        self, cotangents: NDArray[_Real], wrt: Sequence[Parameter], execution: Execution
    ) -> NDArray[_Real]: ...
    def jvp(
        self, wrt: Sequence[Parameter], tangents: NDArray[_Real], execution: Execution
    ) -> NDArray[_Real]: ...
    def jacobian(
        self,
        rows: NDArray[np.int64],
        wrt: Sequence[Parameter],
        out: NDArray[_Real],
        execution: Execution,
    ) -> None: ...
    def jacobian_columns(
        self, rows: NDArray[np.int64], wrt: Sequence[Parameter], execution: Execution
    ) -> _Jacobian[_Real]: ...
    def probe(
        self, neurons: Sequence[int], times: Sequence[float], execution: Execution
    ) -> tuple[NDArray[_Real], NDArray[_Real]]: ...

class RecordFloat32(_Record[np.float32]): ...
class RecordFloat64(_Record[np.float64]): ...

# A parameter array's state of the optimiser, which a step changes in place.
class _Slot(Generic[_Real]):
    def __init__(
        self,
        size: int,
        row: int,
        first: NDArray[_Real] | None,
        second: NDArray[_Real] | None,
        low: NDArray[_Real] | None,
        high: NDArray[_Real] | None,
        frozen: NDArray[np.bool] | None,
    ) -> None: ...
    @property
    def quiet(self) -> int: ...

class SlotFloat32(_Slot[np.float32]): ...
class SlotFloat64(_Slot[np.float64]): ...

class TransformKind(Enum):
    exponential = 0
    softplus = 1
    sigmoid = 2

class Transform:
    def __init__(self, kind: TransformKind, scale: float, low: float, high: float) -> None: ...

def simulate(
    network: _Network[_Real],
    input: Sequence[_Spikes[_Real]],
    samples: int,
    until: float,
    spike_limit: int,
    engine: Engine,
    voltage: NDArray[_Real],
    current: NDArray[_Real],
    first_spikes_of: Sequence[int],
    stop_after: Sequence[int],
    execution: Execution,
) -> _Record[_Real]: ...
def record_from_spikes(
    network: _Network[_Real],
    input: Sequence[_Spikes[_Real]],
    spikes: _Spikes[_Real],
    tolerance: float,
    until: float,
    voltage: NDArray[_Real],
    current: NDArray[_Real],
    on_fault: OnFault,
    execution: Execution,
) -> _Record[_Real]: ...
def restore(
    network: _Network[_Real],
    input: Sequence[_Spikes[_Real]],
    spikes: _Parts[_Real],
    missing: _Missing,
    impossible: _Impossible,
    until: float,
    voltage: NDArray[_Real],
    current: NDArray[_Real],
    first_spikes_of: Sequence[int],
    stop_after: Sequence[int],
) -> _Record[_Real]: ...
def listen(
    record: _Record[_Real],
    readouts: _Network[_Real],
    senders: Sequence[tuple[bool, int]],
    voltage: NDArray[_Real],
    current: NDArray[_Real],
) -> _Record[_Real]: ...
def read(
    heard: _Record[_Real],
    readout: int,
    value: ReadoutValue,
    times: NDArray[_Real],
    time_scale: float,
    execution: Execution,
) -> NDArray[_Real]: ...
def read_vjp(
    heard: _Record[_Real],
    readout: int,
    value: ReadoutValue,
    times: NDArray[_Real],
    time_scale: float,
    cotangents: NDArray[_Real],
    wrt: Sequence[Parameter],
    execution: Execution,
) -> tuple[NDArray[_Real], list[NDArray[_Real]]]: ...
def read_jacobian(
    heard: _Record[_Real],
    readout: int,
    value: ReadoutValue,
    times: NDArray[_Real],
    time_scale: float,
    wrt: Sequence[Parameter],
    senders: Sequence[int],
    execution: Execution,
) -> tuple[NDArray[_Real], list[NDArray[_Real]]]: ...
def read_jvp(
    heard: _Record[_Real],
    readout: int,
    value: ReadoutValue,
    times: NDArray[_Real],
    time_scale: float,
    wrt: Sequence[Parameter],
    tangents: NDArray[_Real],
    sender_tangents: Sequence[NDArray[_Real]],
    execution: Execution,
) -> NDArray[_Real]: ...
def first_times(record: _Record[_Real], population: int) -> NDArray[_Real]: ...
def of_first_spikes(
    record: _Record[_Real], population: int, derivative: NDArray[_Real]
) -> NDArray[_Real]: ...
def first_to_fire(first: NDArray[_Real], outputs: int) -> NDArray[np.int64]: ...

# value, derivative, the first sample that is late and that is out of range (-1: none)
def cross_entropy(
    first: NDArray[_Real],
    labels: NDArray[np.int64],
    tau0: float,
    tau1: float,
    gamma: float,
    horizon: float,
) -> tuple[float, NDArray[np.float64], int, int]: ...

# the smallest slope, spikes that are nearly tangent, spikes of each neuron
def figures(record: _Record[_Real], fraction: float) -> tuple[float, int, NDArray[np.int64]]: ...
def take_samples(
    times: NDArray[np.float64],
    units: NDArray[np.int32],
    offsets: NDArray[np.int64],
    samples: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int64]]: ...
def adam_step(
    beta1: float,
    beta2: float,
    eps: float,
    step: int,
    slots: Sequence[_Slot[_Real]],
    parameters: list[NDArray[_Real]],
    gradients: list[NDArray[_Real]],
    averages: list[NDArray[_Real] | None],
    numbers: Sequence[tuple[float, float, float, float]],
    execution: Execution,
) -> list[tuple[NDArray[_Real], NDArray[_Real] | None]]: ...
def sgd_step(
    momentum: float,
    nesterov: bool,
    slots: Sequence[_Slot[_Real]],
    parameters: list[NDArray[_Real]],
    gradients: list[NDArray[_Real]],
    averages: list[NDArray[_Real] | None],
    numbers: Sequence[tuple[float, float, float, float]],
    execution: Execution,
) -> list[tuple[NDArray[_Real], NDArray[_Real] | None]]: ...
def square_sums(
    values: list[NDArray[_Real]], frozen: list[NDArray[np.bool] | None], execution: Execution
) -> list[float]: ...
def attainable(transform: Transform, like: NDArray[_Real]) -> tuple[float, float]: ...
def constrain(transform: Transform, free: NDArray[_Real]) -> NDArray[_Real]: ...
def release(transform: Transform, parameter: NDArray[_Real]) -> NDArray[_Real]: ...
def chain(
    transform: Transform, free: NDArray[_Real], gradient: NDArray[_Real]
) -> NDArray[_Real]: ...
def resolve_isa(wanted: Isa) -> Isa: ...
def default_threads() -> int: ...
def parallel_runtime() -> str: ...
def wake_always(always: bool) -> None: ...
def pieces_by_others() -> int: ...
