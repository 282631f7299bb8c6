"""Parts of scripts/temper_posterior.py."""
