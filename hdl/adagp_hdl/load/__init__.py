"""The load engine: external memory and constants into the memories on chip."""
