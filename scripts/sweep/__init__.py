"""Sweeps over couplings: independent points on one machine or many, each kept once it is done."""
