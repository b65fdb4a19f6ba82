"""Tests of hublet.servers.http1."""
