"""Tests of the load generators and of the comparison with other servers."""
