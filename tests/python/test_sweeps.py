"""The sweep of docs/clusters.md: a worker that is killed costs no result."""

import json
import os
import subprocess
import sys

import pytest
from pages import blocks
from test_docs import ROOT

pytest.importorskip("safetensors")
pytest.importorskip("joblib", reason="joblib is not installed: pip install joblib")

# Put into the page's program: the first run to get so far is killed after its third epoch.
KILLED = """
import os, signal
def killed_once(history, net):
    if len(history) == 3:
        try:
            os.close(os.open("killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(program, folder):
    folder.mkdir()
    (folder / "sweep.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "sweep.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = {p.stem: json.loads(p.read_text()) for p in (folder / "sweep").glob("*.json")}
    return done.stdout, results


def test_the_sweep_of_the_page(tmp_path):
    found = blocks(ROOT / "docs" / "clusters.md")
    at = next(k for k, b in enumerate(found) if "from joblib import" in b.text)
    program, shown = found[at].text, found[at + 1].text
    assert found[at].language == "py" and found[at + 1].language == "text"
    printed, results = run(program, tmp_path / "whole")
    assert printed == shown
    assert len(results) == 4 and all(len(loss) == 4 for loss in results.values())
    # A killed worker: the same bits, and a word about it.
    spoilt = program.replace("progress=False,", "progress=False, callbacks=[killed_once],")
    spoilt = spoilt.replace("\nFOLDER =", f"{KILLED}\nFOLDER =")
    assert spoilt.count("killed_once") == 2
    printed, again = run(spoilt, tmp_path / "killed")
    assert (tmp_path / "killed" / "killed").exists()
    assert printed == "a worker was killed: once more what is left\n" + shown
    assert again == results
