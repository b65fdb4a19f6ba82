"""Private servers, started for the tests."""
