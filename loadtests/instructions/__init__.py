"""The check for regressions: instructions that hublet needs for a request, counted by callgrind: `make bench-check`.

Times need a quiet machine; counts of instructions are the same on a busy one. hublet runs as users run it, under
`valgrind --tool=callgrind`, and is sent the same bytes each time, one request after another.

    traces.py    what is sent         app.py       what it is sent to, which also takes the marks
    measure.py   one run of it all    marks.c      how the application speaks to callgrind
    baseline.py  what is compared     revision.py  an earlier hublet, where the committed figures are another machine's
"""
