"""Networks as PyTorch modules, with exact gradients through ``torch.autograd``.

It needs PyTorch: ``pip install 'snnfp[torch]'``. The work is done by the core, on the CPU.
"""

from snnfp._outputs import FirstSpikes, SpikeTimes
from snnfp.torch.module import SNNModule
from snnfp.torch.samples import collate

__all__ = ["FirstSpikes", "SNNModule", "SpikeTimes", "collate"]
