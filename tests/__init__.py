"""The tests: they mirror the packages; corpus/ holds raw requests, fuzz/ what looks for new ones."""
