"""Constants and units: lengths in nm, energies in kJ/mol, temperatures in K, times in ps.

The molar gas constant is the CODATA 2018 value, exact since the 2019 redefinition of the SI.
"""

GAS_CONSTANT = 8.31446261815324e-3
"""Molar gas constant in kJ/(mol K)."""


def thermal_energy(temperature: float) -> float:
    """Return kT in kJ/mol for a temperature in K (2.494339 at 300 K)."""
    return GAS_CONSTANT * temperature
