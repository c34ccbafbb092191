"""Experiments: life cycle, store, allocations, names, access."""
