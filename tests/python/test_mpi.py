"""fit(comm=...) by mpi4py and mpiexec: processes, as on a cluster."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import snnfp
from pages import blocks
from test_ranks import OPTIONS
from test_training import everything, problem

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Of the environment's own MPI, if it has one: that of the system may be another.
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")

pytest.importorskip("safetensors")
if importlib.util.find_spec("mpi4py") is None or MPIEXEC is None:
    pytest.skip("no mpi4py or no mpiexec: pip install 'snnfp[mpi]'", allow_module_level=True)


# Open MPI asks for leave to run more ranks than processors, and as root.
LEAVES = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    **dict.fromkeys(LEAVES, "1"),
}


def command_of(ranks, *program):
    return [MPIEXEC, "-n", str(ranks), sys.executable, "-m", "snnfp.mpi", *map(str, program)]


def start(ranks, *program, folder=HERE):
    """Runs Python on so many ranks; returns what it printed and whether all went well."""
    return subprocess.run(
        command_of(ranks, *program),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
        check=False,
    )


def lines(ranks, what, *arguments):
    """What each rank says, in their order."""
    done = start(ranks, HERE / "rank_script.py", what, *arguments)
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if not line.startswith("resume: loss"))
    assert [line.split()[0] for line in said] == [str(k) for k in range(ranks)]
    return [line.partition(" ")[2] for line in said]


@pytest.fixture(scope="module")
def alone():
    """What a training without a communicator comes to."""
    net, data = problem()
    return " ".join(everything(net, snnfp.fit(net, data, validation=data, **OPTIONS)))


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_same_bits_on_any_number_of_ranks(ranks, alone):
    assert lines(ranks, "trained") == [alone] * ranks


def test_resume_on_another_number_of_ranks(tmp_path, alone):
    path = tmp_path / "checkpoint"
    lines(4, "half", path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]
    assert lines(2, "resumed", path) == [alone] * 2


@pytest.mark.parametrize(
    ("what", "error"),
    [("raises", "ZeroDivisionError"), ("interrupted", "KeyboardInterrupt")],
)
def test_an_error_of_one_rank_ends_all(what, error):
    said = lines(4, what)
    assert said[1].startswith(error)
    assert [text.startswith(f"RankError rank 1 raised {error}") for text in said] == [
        *(True, False, True, True)
    ]
    assert all("fit had done 4 steps and 1 whole epochs" in text for text in said), said


@pytest.mark.parametrize("what", ["killed", "terminated", "leaves"])
def test_a_rank_that_is_gone_ends_all(what, tmp_path, alone):
    """mpiexec ends the others; the checkpoint is whole, and gone on from."""
    path = tmp_path / "checkpoint"
    begin = time.monotonic()
    done = start(4, HERE / "rank_script.py", what, path)
    assert time.monotonic() - begin < 60
    assert not any(alone in line for line in done.stdout.splitlines())
    assert done.returncode != 0
    said = {"killed": "was killed by SIGKILL", "terminated": "was killed by SIGTERM"}
    told = re.findall(r"^snnfp: rank (\d+) \(process \d+ on .*?\) (.*)$", done.stderr, re.MULTILINE)
    assert [rank for rank, _ in told] == ["1"], done.stderr
    assert told[0][1].startswith(said.get(what, "has left without a word"))
    # The history begins with the figures of another loss, which looks further.
    network = alone.split()[0]
    assert [line.split()[0] for line in lines(2, "resumed", path)] == [network] * 2


def test_ctrl_c_reaches_every_rank():
    """As a terminal sends it to mpiexec; one rank is busy, the others wait for it."""
    with subprocess.Popen(
        command_of(3, HERE / "rank_script.py", "sleeps"),
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout.readline() == "sleeping\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=50)
    ends = re.findall(
        r"^(\d) (?:KeyboardInterrupt|RankError rank 1 raised Key)", said, re.MULTILINE
    )
    version = subprocess.run([MPIEXEC, "--version"], capture_output=True, text=True, check=True)
    if "HYDRA" in version.stdout:
        assert sorted(ends) == ["0", "1", "2"], said
    else:  # Open MPI's ends the ranks without an interrupt
        assert process.returncode != 0


def test_an_error_outside_of_fit_ends_all():
    """With ``-m snnfp.mpi``, as the page says."""
    done = start(3, HERE / "rank_script.py", "before")
    assert done.returncode != 0
    assert "ZeroDivisionError: before fit" in done.stderr


def test_the_program_of_the_page(tmp_path):
    page = ROOT / "docs" / "clusters.md"
    found = blocks(page)
    at = next(k for k, b in enumerate(found) if "from mpi4py import MPI" in b.text)
    program, command, output = found[at : at + 3]
    assert (program.language, command.language, output.language) == ("py", "sh", "text")
    assert command.text == "mpiexec -n 4 python -m snnfp.mpi train.py\n"
    (tmp_path / "train.py").write_text(program.text)
    for ranks in (4, 1):
        done = start(ranks, "train.py", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == output.text
