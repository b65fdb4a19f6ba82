"""Fuzz targets: deterministic for a seed, and silent unless an invariant breaks."""
