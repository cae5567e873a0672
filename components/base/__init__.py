"""The embedded base model: how it is generated for, trained and examined. Decides nothing about workloads."""
