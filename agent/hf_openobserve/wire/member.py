"""Members of what clients and servers hand over: dictionaries, huggingface_hub's objects, openai's models. Pure."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Tuple


def member(value: Any, name: str) -> Any:
    """``value[name]`` or ``value.name``; None where there is neither.

    huggingface_hub's objects are both: known members are attributes, unknown ones stand in the dictionary.
    """
    if type(value) is dict:
        return value.get(name)
    found = getattr(value, name, None)
    return value.get(name) if found is None and isinstance(value, dict) else found


def at(value: Any, path: Tuple[str, ...]) -> Any:
    """``value[a][b]...``, or None where there is no such way. Only dictionaries are walked through."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def objects(value: Any) -> List[Mapping[str, Any]]:
    """The objects of a JSON array; empty if it is none."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, (list, tuple)) else []


def plain(value: Any) -> Optional[Mapping[str, Any]]:
    """A mapping as a server wrote it, from its parsed form; None where it cannot be made one."""
    if value is None or isinstance(value, dict):
        return value
    dump = getattr(value, "to_dict", None) or getattr(value, "model_dump", None)
    made = dump() if dump is not None else dict(value)
    return made if isinstance(made, dict) else None
