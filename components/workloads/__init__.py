"""Generators for the embedded workloads: simulated inputs, gold answers, imperfect demonstrations."""
