"""Generators for the embedded workloads: simulated inputs, gold, imperfect demonstrations."""
