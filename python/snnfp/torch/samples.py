"""Batches of spikes for PyTorch's data loaders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snnfp.errors import require
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    import torch
else:
    torch = require("torch", extra="torch")

__all__ = ["collate"]


def collate(batch: Sequence[Any]) -> Any:
    """Makes a batch of samples, for ``torch.utils.data.DataLoader(collate_fn=...)``.

    As torch does it, and :class:`snnfp.Spikes` within tuples, lists and mappings become one batch
    of spikes.
    """
    of_torch = torch.utils.data._utils.collate
    return of_torch.collate(
        batch, collate_fn_map={Spikes: _concatenated, **of_torch.default_collate_fn_map}
    )


def _concatenated(batch: Sequence[Spikes], *, collate_fn_map: Any = None) -> Spikes:
    return Spikes.concatenate(batch)
