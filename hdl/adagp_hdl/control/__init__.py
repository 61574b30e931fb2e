"""Registers, fetch, dispatch, phases, counters, faults."""
