"""Boltzmann generators: conditional flows, the objectives that fit them, and honest estimates."""

__version__ = "0.1.0"
