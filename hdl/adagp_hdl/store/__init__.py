"""The store engine: vector memory to external or predictor memory."""
