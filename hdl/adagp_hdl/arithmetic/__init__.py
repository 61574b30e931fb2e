"""Floating-point units: one operation per cycle, fixed latency, bit for bit the number contract of
:mod:`adagp.spec.formats`."""
