"""Kernel objects and shaping; knows no experiment."""
