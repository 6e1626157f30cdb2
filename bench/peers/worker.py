"""A process that holds one code and answers the parent's requests, one line of JSON each.

Each code has a process of its own so that its threads and their settings meet no other's. What a
library prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from typing import Any

from bench.peers.prepared import Prepared

__all__ = ["main"]


def _timed(prepared: Prepared, call: str, number: int) -> float:
    """Seconds a call, averaged over ``number`` of them."""
    run = prepared.calls[call]
    start = time.perf_counter()
    for _ in range(number):
        run()
    return (time.perf_counter() - start) / number


def main() -> None:
    """Serves until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    prepared: dict[str, Prepared] = {}
    try:
        code = importlib.import_module(f"bench.peers.codes.{sys.argv[1]}")
    except ImportError as error:
        code = None
        missing = str(error)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        answer: dict[str, Any]
        try:
            if code is None:
                answer = {"missing": missing}
            elif request["do"] == "prepare":
                made = code.prepare(request["kind"], request["options"])
                prepared[request["key"]] = made
                answer = {"facts": {"version": code.version(), **made.facts}}
            elif request["do"] == "forget":
                prepared.clear()
                answer = {}
            else:
                work = prepared[request["key"]]
                answer = {"seconds": _timed(work, request["call"], request["number"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
