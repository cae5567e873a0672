"""Reads files and folders of all common formats as tables of rows.

`folders.read_source` is the entry point. Each format has a module that turns bytes into rows; `shapes` interprets the
records of known programs (chats, test files, traces). `components.data.understanding` decides what the columns mean.
"""
