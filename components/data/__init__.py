"""Data on its way in: read from its source, validated, split, written as examples; and a first set-up from a file.

`prepare.prepare` is the stage; `init.init_workload` writes the settings and the run of a new workload.
"""
