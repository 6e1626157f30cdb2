"""Networks as functions that JAX differentiates exactly, under ``jit``, ``grad`` and ``vmap``.

Needs JAX: ``pip install 'snnfp[jax]'``. The work is done by the core, on the CPU.
"""

from snnfp._functional import FirstSpikes, SpikeTimes
from snnfp.jax.function import SNNFunction
from snnfp.jax.inputs import padded

__all__ = ["FirstSpikes", "SNNFunction", "SpikeTimes", "padded"]
