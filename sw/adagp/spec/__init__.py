"""Facts that two or more layers share: number formats, configuration, instructions, registers, phases."""
