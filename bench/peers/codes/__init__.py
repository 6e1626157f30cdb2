"""One module a code: what it takes to give it a piece of work and to count its spikes.

Each has ``NAME``, ``version()`` and ``prepare(kind, options) -> Prepared``; importing it raises
ImportError where the package is not installed.
"""
