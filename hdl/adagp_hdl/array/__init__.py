"""The weight-stationary array and the engine that executes ``Array`` instructions on it."""
