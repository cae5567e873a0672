"""What a JSON Schema means for an answer, in whichever equivalent form it is written.

Decides how references, combinators, constants and lists of types are read; callers draw the conclusions. Whether an
answer is valid, `jsonschema` decides.
"""

from components.schema.fields import Field, Fields, fields_of
from components.schema.reading import composed, resolve_root, shape_of
from components.schema.shape import ABSENT, Shape

__all__ = ["ABSENT", "Field", "Fields", "Shape", "composed", "fields_of", "resolve_root", "shape_of"]
