"""The side-by-side comparison of hublet with other servers: `python -m loadtests.bench`, from the repository's root.

One server at a time runs on one core, the load generator on another. Rounds are interleaved (A B C, A B C, ...), so
that a machine that slows down slows everybody; figures are medians over the rounds, and only their ratios within one
run mean anything elsewhere.

    servers/     the servers, as data              cases/    what is measured, a table entry or a small module each
    launch.py    one server's life                 clients/  load generators, run as processes on their own core
    load.py      one load client's life            signals.py  how all of it is ended early
    runner.py    cases x rounds x servers          apps/     what the servers run
    stats.py, targets.py, report.py, machine.py    from samples to docs/benchmarks.md and docs/benchmarks.json
"""
