"""PyTorch interpreter of programs, bit for bit what the hardware does."""
