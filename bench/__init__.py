"""Benchmarks: what Benito measures of itself."""
