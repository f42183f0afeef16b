"""The published JSON schemas of the headers, a file each, and the check against them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


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
    error = next(_validator(name).iter_errors(header), None)
    if error is not None:
        raise ValueError(f"header{error.json_path[1:][:100]}: {error.message[:200]}")


def read_schema(name: str) -> dict[str, Any]:
    """Return a schema by its name, as in ``"model-2"``."""
    return json.loads(files(__package__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # as slow to import as all the rest of the loader

    return Draft202012Validator(read_schema(name))
