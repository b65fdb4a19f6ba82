"""Tests of `hublet loadtest`. Locust patches the standard library when imported, so it runs in other processes."""
