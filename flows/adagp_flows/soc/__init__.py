"""A RISC-V system-on-chip around a release folder, in simulation, with firmware on the C driver."""
