"""Doors for others."""
