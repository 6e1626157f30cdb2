"""The shared library by ctypes alone: python from_python.py /usr/local/lib/libsnnfp.so"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_void_p


class Spikes(ctypes.Structure):
    _fields_ = [
        ("times", POINTER(c_double)),
        ("units", POINTER(c_int32)),
        ("offsets", POINTER(c_int64)),
        ("samples", c_int64),
    ]


class Parameter(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("index", c_int32), ("neuron", c_int32)]


WRT_WEIGHT = 1

library = ctypes.CDLL(sys.argv[1])
library.snnfp_last_error.restype = c_char_p


def call(name, *arguments):
    if getattr(library, name)(*arguments) != 0:
        raise RuntimeError(f"{name}: {library.snnfp_last_error().decode()}")


def doubles(*values):
    return (c_double * len(values))(*values)


network, record = c_void_p(), c_void_p()
x, h, projection = c_int32(), c_int32(), c_int32()
call("snnfp_network_new", byref(network))
call("snnfp_add_input", network, b"x", c_int32(1), byref(x))
call(
    *("snnfp_add_population", network, b"h", c_int32(1), c_double(2), c_double(1), c_int64(0)),
    byref(h),
)
call(
    *("snnfp_connect_dense", network, x, h, doubles(5), c_int64(1), doubles(0), c_int64(1)),
    *(None, byref(projection)),
)
times, units, offsets = doubles(0.1), (c_int32 * 1)(0), (c_int64 * 2)(0, 1)
call(
    *("snnfp_simulate", network, byref(Spikes(times, units, offsets, 1)), c_int32(1), None),
    byref(record),
)
spikes = Spikes()
call("snnfp_record_spikes", record, byref(spikes))
n = spikes.offsets[spikes.samples]
for k in range(n):
    print(f"spike at {spikes.times[k]:.12f}")
gradient = (c_double * 1)()
call(
    *("snnfp_vjp", record, doubles(*[1.0] * n), c_int64(n)),
    *(byref(Parameter(WRT_WEIGHT, projection.value, 0)), c_int32(1), c_int32(1)),
    *(gradient, c_int64(1)),
)
print(f"dL/dw    {gradient[0]:.12f}")
library.snnfp_record_free(record)
library.snnfp_network_free(network)
