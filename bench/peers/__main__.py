"""The same work by snnfp and by other packages, in one run.

    python -m bench.peers [QUESTION ...] [--repeats 7] [--threads 1 2] [--write]

``--write`` replaces bench/RESULTS.md and bench/results.png. What has to be installed, and what each
question is, is in bench/README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bench.peers.answers import Answer
from bench.peers.client import workers
from bench.peers.questions import FIXED_THREADS, QUESTIONS, Run
from bench.peers.report import draw, machine, markdown, table

_BENCH = Path(__file__).resolve().parents[1]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "questions",
        nargs="*",
        metavar="QUESTION",
        help=f"{', '.join(QUESTIONS)}; all if none is given",
    )
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each call (7)")
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        default=[1],
        help=f"threads of each code, one table for each (1; this machine: {os.cpu_count()})",
    )
    parser.add_argument("--write", action="store_true", help="replace bench/RESULTS.md")
    chosen = parser.parse_args()
    unknown = [q for q in chosen.questions if q not in QUESTIONS]
    if unknown:
        parser.error(f"no question {unknown[0]!r}, expected one of: {', '.join(QUESTIONS)}")
    if chosen.repeats < 1 or min(chosen.threads) < 1:
        parser.error("--repeats and --threads take numbers of at least 1")
    about = machine()
    answers: list[Answer] = []
    for name in chosen.questions or QUESTIONS:
        for threads in [2] if name in FIXED_THREADS else chosen.threads:
            start = time.perf_counter()
            with workers(threads) as get:
                answers.append(QUESTIONS[name](Run(get, threads, chosen.repeats)))
            print(f"{answers[-1].question.strip()} ({threads} thread{'s' * (threads > 1)})")
            print("\n".join(table(answers[-1])))
            print(f"{time.perf_counter() - start:.0f} s\n", flush=True)
            if chosen.write:  # after each: an hour's work may be stopped
                command = " ".join(["python -m bench.peers", *sys.argv[1:]])
                others = sorted(p.name for p in _BENCH.glob("RESULTS-*.md"))
                (_BENCH / "RESULTS.md").write_text(markdown(answers, about, command, others))
                draw(answers, _BENCH / "results.png")
    if chosen.write:
        print(f"written: {_BENCH / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
