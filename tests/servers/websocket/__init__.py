"""Tests of hublet.servers.websocket."""
