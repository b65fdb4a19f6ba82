"""A WebSocket load generator in C, for servers that one written in Python could not load: `python -m loadtests.wsload`.

wsload.c says what it does and which options it takes; build.py compiles it when it is needed.
"""
