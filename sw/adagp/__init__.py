"""ADA-GP: training accelerator, compiler, golden machine and cost models."""
