"""The Autobahn WebSocket Testsuite, as a fuzzing client against hublet: `make autobahn`.

Upstream publishes the suite as Python 2 code. It is converted once, into the build folder; the cases stay as they are.

    make_suite.sh    download, conversion, an environment of its own   suite.py   builds it, runs it, reads its verdicts
    patch_suite.py   what 2to3 leaves to be done                       echo.py    the application that is tested
    client.py        runs inside that environment, prints JSON         server.py  that application on hublet

What the suite does not test: unmasked client frames, the opening handshake, invalid deflate data and offers,
decompression bombs, over-long encodings of lengths, and in section 9 the content of the echo (only its length).
"""
