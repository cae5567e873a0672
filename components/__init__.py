"""What one step of the ladder does, unaware of what schedules it: pure logic, stage functions."""

import sys

# jsonschema builds a grammar of IRIs from this library when it is imported, which takes every process a second; no
# `format` of a schema is ever checked.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore[reportArgumentType] — None: "not to be imported"
