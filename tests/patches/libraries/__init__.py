"""Tests of hublet.patches.libraries: each library with what it talks to."""
