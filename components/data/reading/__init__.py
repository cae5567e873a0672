"""Reading what people bring: files and folders of any usual format, as tables of rows.

`folders.read_source` is the entry. A module a format says how its bytes become rows; `shapes` says what the records of
known programs (chats, test files, traces) hold. What the columns mean, `components.data.understanding` decides.
"""
