"""A look at the interpreter before anything compiled is loaded; first of all imports.

The import of an extension module of pybind11 hangs in a subinterpreter that shares the GIL
(pybind11 issue 4245), and NumPy supports none.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["refuse_subinterpreters"]


def refuse_subinterpreters() -> None:
    """Raises ImportError in any interpreter of the process but the main one."""
    if sys.implementation.name != "cpython":
        return
    this, main = ctypes.pythonapi.PyInterpreterState_Get, ctypes.pythonapi.PyInterpreterState_Main
    this.restype = main.restype = ctypes.c_void_p
    if this() != main():
        raise ImportError(
            "snnfp cannot be imported in a subinterpreter, as NumPy cannot: use the main "
            "interpreter, threads, or processes (multiprocessing with spawn)"
        )


refuse_subinterpreters()
