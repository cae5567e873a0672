"""Input data: read from a source, validated, split and written as examples; and the set-up of new workloads.

`prepare.prepare` is the stage; `init.init_workload` writes a new workload's settings.
"""
