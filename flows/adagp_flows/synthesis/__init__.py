"""What the machine costs on FPGAs and in standard cells: one module per target, one mechanism that runs all tools."""
