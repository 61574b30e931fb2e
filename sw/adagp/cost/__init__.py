"""What training costs in cycles, bytes and energy."""
