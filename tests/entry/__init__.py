"""Tests of hublet, the package that users import and run."""
