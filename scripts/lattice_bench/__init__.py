"""Contests of lattice Monte Carlo: our samplers and those of other packages at the same work."""
