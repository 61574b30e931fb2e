"""What a network, a dataflow, a design or a schedule costs in cycles, bytes and energy."""
