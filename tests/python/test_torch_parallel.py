"""Networks as PyTorch modules on several processes: DistributedDataParallel, DataLoader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import snnfp

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'snnfp[torch]'")

from snnfp.torch import collate  # noqa: E402

HERE = Path(__file__).parent


def apart(one, other):
    """The largest difference between two sets of parameters, in parts of the largest value."""
    assert one.keys() == other.keys()
    return max(float((one[n] - other[n]).abs().max() / other[n].abs().max()) for n in one)


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    """DistributedDataParallel over gloo: the same parameters to round-off, equal on both ranks."""
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch has no torch.distributed")
    from ddp_training import model, train

    ranks = [
        subprocess.Popen(
            [
                sys.executable,
                HERE / "ddp_training.py",
                str(k),
                "2",
                tmp_path / "store",
                tmp_path / f"{k}.pt",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        )
        for k in range(2)
    ]
    whole = train()
    for rank in ranks:
        output, _ = rank.communicate(timeout=120)
        assert rank.returncode == 0, output
    first, second = (torch.load(tmp_path / f"{k}.pt", weights_only=True) for k in range(2))
    assert all(torch.equal(first["shared"][n], second["shared"][n]) for n in whole)
    assert apart(first["shared"], whole) < 1e-11
    # What has been trained, and that half the batch alone trains to something else.
    begin = dict(model().named_parameters())
    trained = [n for n, p in begin.items() if p.requires_grad]
    assert len(trained) == 7
    assert all(not torch.equal(begin[n], whole[n]) for n in trained)
    assert all(torch.equal(begin[n], whole[n]) for n in begin if n not in trained)
    assert min(apart(r["alone"], whole) for r in (first, second)) > 1e-4


class Sample(NamedTuple):
    """What a data set gives."""

    spikes: snnfp.Spikes
    label: int


def batch(n=5):
    rng = np.random.default_rng(0)
    pairs = [(rng.uniform(0, 5, k), rng.integers(0, 3, k)) for k in range(n)]
    return snnfp.Spikes.from_pairs(pairs, size=3)


def test_collate():
    spikes = batch()
    assert collate(list(spikes)) == spikes
    together, labels = collate([(s, k) for k, s in enumerate(spikes)])
    assert together == spikes and torch.equal(labels, torch.arange(5))
    both, weights = collate([({"a": s, "b": s[:1]}, np.float64(k)) for k, s in enumerate(spikes)])
    assert both == {"a": spikes, "b": spikes} and weights.dtype == torch.float64
    named = collate([Sample(s, k) for k, s in enumerate(spikes)])
    assert isinstance(named, Sample) and named.spikes == spikes
    nested = collate([[s, [torch.ones(2), "name"]] for s in spikes])
    assert nested[0] == spikes and nested[1][0].shape == (5, 2) and len(nested[1][1]) == 5
    assert torch.equal(
        collate([torch.zeros(2), torch.ones(2)]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    )
    wide = snnfp.Spikes.from_lists([[[1.0]] * 4])
    with pytest.raises(ValueError, match="batch 1 has size 4, expected 3 as in batch 0"):
        collate([spikes[0], wide])


@pytest.mark.parametrize("workers", ["fork", "spawn"])
def test_workers(workers, tmp_path):
    """Spikes that workers make, networks that run in workers, and training after both."""
    text = f"""
import snnfp, torch
from snnfp.torch import collate
from ddp_training import model

class Data(torch.utils.data.Dataset):
    def __init__(self): self.snn = model()[2]
    def __len__(self): return 8
    def __getitem__(self, k):
        times = torch.arange(1.0, 5.0, dtype=torch.float64)[None] / (k + 1)
        spikes = snnfp.Spikes.from_latencies(times.numpy())
        with torch.no_grad():
            return spikes, self.snn(spikes)[0], k

if __name__ == "__main__":
    data = Data()
    data.snn(data[0][0]).sum().backward()
    loader = torch.utils.data.DataLoader(
        data, batch_size=4, num_workers=2, timeout=60, collate_fn=collate, multiprocessing_context={workers!r})
    seen = 0
    for spikes, first, which in loader:
        assert len(spikes) == 4 and torch.equal(data.snn(spikes), first), which
        seen += len(spikes)
    data.snn(spikes).sum().backward()
    print(seen)
"""
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "8"
