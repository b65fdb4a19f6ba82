"""Tests of hublet.runtime."""
