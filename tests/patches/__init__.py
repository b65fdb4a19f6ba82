"""Tests of hublet.patches."""
