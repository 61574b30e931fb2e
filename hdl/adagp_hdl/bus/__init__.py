"""The AXI4 manager bus: bursts in, bursts out, and who may use the read channel."""
