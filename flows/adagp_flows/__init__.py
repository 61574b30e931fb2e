"""Runs, reports and synthesis flows: what the commands of the project call."""
