"""Benito turns an experiment description into a running network of virtual machines."""

__version__ = "0.1.0"
