"""Tests of hublet.doctor."""
