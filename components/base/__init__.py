"""The embedded base model: its training data, training and evaluation. Knows nothing about workloads."""
