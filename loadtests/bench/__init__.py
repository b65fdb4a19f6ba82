"""The side-by-side comparison of hublet with other servers: `python -m loadtests.bench`, from the repository's root.

One server at a time runs on one core, the load generator on another. Rounds are interleaved, in an order drawn
anew for each (B C A, A C B, ...), so that a machine that slows down slows everybody; figures are medians over the
rounds, and only their ratios within one run mean anything elsewhere.

    servers/     the servers, as data              cases/    what is measured, a table entry or a small module each
    launch.py    one server's life                 clients/  load generators, run as processes on their own core
    load.py      one load client's life            signals.py  how all of it is ended early
    runner.py    cases x rounds x servers          apps/     what the servers run
    schedule.py  the time that there is            libraries/  what is measured without a server: patched libraries
    stats.py, ranking.py, targets.py, charts.py, report.py, machine.py, quotes.py
                 from samples to docs/benchmarks.md, docs/benchmarks.json, docs/benchmarks/ and what README.rst and
                 docs/patches.rst quote

`make bench` runs parts (--only, --servers, --rounds, --duration) and prints them; `make compare` runs all within a
bounded time (--compare) and writes. hublet and the other servers have an environment each, whose interpreters
BENCH_HUBLET and BENCH_PEERS name; without these they are looked for in this one.
"""
