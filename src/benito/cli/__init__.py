"""Doors for people: one file a verb."""
