"""Tests of hublet.servers."""
