"""One small application, written in each framework as its manual shows: see test_frameworks.py for what it must do."""
