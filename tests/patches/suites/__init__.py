"""The published test-suites of libraries, run while they are patched."""
