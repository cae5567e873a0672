"""Whether what a caller calls a JSON Schema is one, in time in proportion to its length.

Decides by the forms that draft 2020-12 gives its keywords. Where references lead, and whether a pattern can be matched,
is the grammar library's to say: compiling a pattern here may take a thousand times as long as reading it.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # Python 3.11's own tells pydantic too little

_MOST_SHOWN = 60  # characters of what is wrong, and of its place
_Kind = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Part = Annotated["_Schema", BeforeValidator(lambda part: {} if isinstance(part, bool) else part)]
_Parts = Annotated[list[_Part], Field(min_length=1, fail_fast=True)]
_Named = dict[str, _Part]
_Number = Annotated[float, Field(strict=True)]
_Count = Annotated[float, Field(strict=True, ge=0, multiple_of=1)]
_Flag = Annotated[bool, Field(strict=True)]
_Texts = Annotated[list[str], Field(fail_fast=True)]
_FORMS: dict[Any, tuple[str, ...]] = {
    _Part: (
        "not", "if", "then", "else", "items", "contains", "propertyNames", "additionalProperties", "unevaluatedItems",
        "unevaluatedProperties", "contentSchema",
    ),
    _Parts: ("allOf", "anyOf", "oneOf", "prefixItems"),
    _Named: ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"),
    Annotated[
        Annotated[list[_Kind], Field(min_length=1, fail_fast=True)],
        BeforeValidator(lambda kinds: [kinds] if isinstance(kinds, str) else kinds),
    ]: ("type",),
    _Number: ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"),
    Annotated[float, Field(strict=True, gt=0)]: ("multipleOf",),
    _Count: (
        "maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains", "maxProperties",
        "minProperties",
    ),
    _Flag: ("uniqueItems", "deprecated", "readOnly", "writeOnly"),
    _Texts: ("required",),
    dict[str, _Texts]: ("dependentRequired",),
    dict[str, _Flag]: ("$vocabulary",),
    list[Any]: ("enum", "examples"),
    str: (
        "$id", "$schema", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$comment", "pattern", "format", "title",
        "description", "contentEncoding", "contentMediaType",
    ),
}  # fmt: skip
_typed: Any = TypedDict  # of a table, which no type checker follows; a model would fill in fifty defaults for each part
_Schema = _typed("_Schema", {name: form for form, names in _FORMS.items() for name in names}, total=False)
_read = TypeAdapter[Any](_Schema).validate_python


def objection(schema: Any) -> str | None:
    """Why a value of JSON is no schema: what is wrong first, and where; None if it is one."""
    try:
        _read(schema)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{first['input']!r:.{_MOST_SHOWN}} at {place!r:.{_MOST_SHOWN}} ({first['msg']})"
    return None
