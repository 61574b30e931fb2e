"""Time of the machine of this project, instruction by instruction."""
