"""Clusters of equal particles that know no place and no orientation."""

from systems.particles.cluster import ParticleCluster
from systems.particles.models import DoubleWellCluster, HarmonicCluster, LennardJonesCluster

__all__ = ["DoubleWellCluster", "HarmonicCluster", "LennardJonesCluster", "ParticleCluster"]
