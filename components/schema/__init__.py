"""What a JSON Schema means for an answer, whichever of its equivalent forms it is written in.

Decides how references, combinators, constants and lists of types are understood; what follows from it is decided by
whoever asks. Whether one answer is valid is the business of `jsonschema`.
"""

from components.schema.fields import Field, Fields, fields_of
from components.schema.reading import composed, opened, shape_of
from components.schema.shape import ABSENT, Shape

__all__ = ["ABSENT", "Field", "Fields", "Shape", "composed", "fields_of", "opened", "shape_of"]
