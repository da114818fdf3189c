"""JSON of what came from outside: file names and the words of programs, whatever their bytes are."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any, option: int = 0) -> bytes:
    """JSON in UTF-8. Bytes of a name that are no UTF-8, which Python holds as lone surrogates, become U+FFFD, each."""
    try:
        return orjson.dumps(value, option=option)
    except TypeError:
        return orjson.dumps(_encodable(value), option=option)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(name): _encodable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value
