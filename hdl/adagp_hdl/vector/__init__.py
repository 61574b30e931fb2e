"""The vector unit: elementwise arithmetic on words of the vector memory."""
