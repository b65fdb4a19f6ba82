"""Load generators, each a process of its own: `python -m loadtests.bench.clients.NAME --port N ...`.

They print one JSON object a line, all of numbers, and end with a traceback where that is impossible.
"""
