"""The store engine: vector memory to external memory."""
