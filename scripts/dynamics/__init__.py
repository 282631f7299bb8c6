"""Dynamic critical exponents: how autocorrelation times of Markov chains grow with the lattice."""
