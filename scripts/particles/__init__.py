"""Free-form flows for clusters of particles."""
