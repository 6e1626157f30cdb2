"""Fixtures that several files share."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data, from SNNFP_DATA."""
    folder = os.environ.get("SNNFP_DATA")
    if not folder:
        pytest.skip("SNNFP_DATA is not set to the folder of real data")
    path = Path(folder)
    assert path.is_dir(), f"SNNFP_DATA = {folder} is not a folder"
    return path


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parents[2]
