"""Gives and takes pnodes."""
