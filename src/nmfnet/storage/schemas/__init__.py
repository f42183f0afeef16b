"""The published JSON schemas of the headers, a file each, and the check against them.

The check is of our own: jsonschema takes seconds for a hundred thousand tiny values, and what a stranger's file makes
us do must be quick.  It knows the keywords that our schemas have, and the tests compare it with jsonschema.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

TYPES = {
    "null": (type(None),), "boolean": (bool,), "integer": (int,), "number": (int, float), "string": (str,),
    "array": (list,), "object": (dict,),
}  # fmt: skip
LOOSE = {"type", "description"}  # keywords that see no more of a value than its type


def check_schema(header: Any, name: str) -> None:
    """Refuse a header that is not as its schema says.

    Parameters
    ----------
    header : object
        As JSON has it.
    name : str
        Of the schema, as in ``"model-2"``.

    Raises
    ------
    ValueError
        Names the place in the header.
    """
    schema = read_schema(name)
    _check(header, schema, schema.get("$defs", {}), "header")


@cache
def read_schema(name: str) -> Schema:
    """Return a schema by its name, as in ``"model-2"``."""
    return json.loads(files(__package__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))


def _check(value: Any, schema: Schema, definitions: Schema, at: str) -> None:
    schema = _resolved(schema, definitions)
    _check_alone(value, schema, at)
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                raise ValueError(f"{at} lacks {name!r}.")
        for name, each in value.items():
            if name not in properties and others is False:
                raise ValueError(f"{at} has {name!r:.50}, which it should not.")
            if name in properties or others is not True:
                _check(each, properties.get(name, others), definitions, f"{at}.{name:.50}")
    elif isinstance(value, list) and "items" in schema:
        items = _resolved(schema["items"], definitions)
        kind = _kind(items, definitions)  # one value of each stands for all
        for number, each in {kind(v): (i, v) for i, v in enumerate(value)}.values() if kind else enumerate(value):
            _check(each, items, definitions, f"{at}[{number}]")
    for part in schema.get("allOf", ()):
        _check(value, part, definitions, at)
    if "if" in schema and _fits(value, schema["if"], definitions):
        _check(value, schema["then"], definitions, at)


def _kind(schema: Schema, definitions: Schema) -> Callable[[Any], Any] | None:
    """Function from a value to what the schema sees of it: its type, or those in an object; None if it sees more."""
    keywords, others = set(schema), schema.get("additionalProperties")
    if keywords <= LOOSE:
        return type
    loose = isinstance(others, dict) and set(_resolved(others, definitions)) <= LOOSE
    if loose and keywords <= {*LOOSE, "additionalProperties"}:
        return lambda value: frozenset(map(type, value.values())) if isinstance(value, dict) else type(value)
    return None


def _check_alone(value: Any, schema: Schema, at: str) -> None:
    """Keywords that look at a value, and not into it."""
    types = schema.get("type", list(TYPES))
    types = [types] if isinstance(types, str) else types
    if not any(type(value) in TYPES[name] for name in types):
        raise ValueError(f"{at} is {value!r:.50}, which is not of the type {' or '.join(types)}.")
    if "const" in schema and not _same(value, schema["const"]):
        raise ValueError(f"{at} is {value!r:.50}, not {schema['const']!r}.")
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        raise ValueError(f"{at} is {value!r:.50}, not one of {', '.join(map(repr, schema['enum']))}.")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        raise ValueError(f"{at} is {value!r:.50}, which does not match {schema['pattern']}.")
    if type(value) in (int, float):
        low, high = schema.get("minimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
        if value < low or ("exclusiveMaximum" in schema and value >= high):
            raise ValueError(f"{at} is {value!r:.50}, which is out of bounds.")


def _same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _fits(value: Any, schema: Schema, definitions: Schema) -> bool:
    try:
        _check(value, schema, definitions, "")
    except ValueError:
        return False
    return True


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    return definitions[schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema
