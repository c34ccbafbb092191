"""Runs one pnode: init, agent and wire engine."""
