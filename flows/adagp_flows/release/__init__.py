"""The release folder: everything that an integrator needs, and nothing of the generator (``adagp package``)."""
