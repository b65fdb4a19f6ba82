"""What a running `hublet --workers 2` loses when things are done to it: `python -m loadtests.chaos`, or `make chaos`.

Reloads, terminated and killed workers, a killed supervisor, an upgrade, a slow import and a broken deploy, each under
load. Anything that is lost and need not be is a violation, and makes the status 1.

    application.py  what is served                     cluster.py  the supervisor and its workers
    clients.py      keep-alive HTTP, one-request       load.py     runs the clients and wrk, and adds up what they say
                    connections and WebSockets         steps.py    what is done, and what may be lost by it
    tally.py        what they count
    report.py       the table, docs/chaos.md and docs/chaos.json
"""
