"""Benches and the simulated machine."""
