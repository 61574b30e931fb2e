"""Proofs, not simulations, that the ports of the delivered Verilog keep the rules of AXI4 and AXI4-Lite."""
