"""OpenInference's configuration as the agent uses it, for every client library."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any


def trace_config() -> Any:
    """A ``TraceConfig`` from the environment, but images reach ``privacy`` whole, to be digested there."""
    from openinference.instrumentation import TraceConfig

    class Valid(TraceConfig):  # type: ignore[misc]
        """Every attribute passes ``mask``: what OpenTelemetry would refuse gets a form it takes.

        A refusal is a line on the host's log.
        """

        def mask(self, key: str, value: Any, **more: Any) -> Any:
            return valid(super().mask(key, value, **more))

    class Open(TraceConfig):  # type: ignore[misc]
        """Where nothing is hidden, ``mask`` compares each attribute's name with two dozen others twice, for nothing."""

        def mask(self, key: str, value: Any, **_: Any) -> Any:  # noqa: ARG002 - OpenInference's signature
            return valid(value() if callable(value) else value)

    if "OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH" in os.environ:
        return Valid()
    kind = Open if _hides_nothing(TraceConfig(base64_image_max_length=sys.maxsize)) else Valid
    return kind(base64_image_max_length=sys.maxsize)


_SCALARS = (str, bool, int, float)


def valid(value: Any) -> Any:
    """The value of an attribute as OpenTelemetry takes it: a scalar, or a list of scalars of one type; else JSON text.

    Servers answer with more than the API's types: arguments of a tool call as an object, its id as a number or as null
    in a list.
    """
    if value is None or isinstance(value, (*_SCALARS, bytes)):
        return value
    if isinstance(value, (list, tuple)):
        types = {type(item) for item in value}
        if not types or (len(types) == 1 and types <= set(_SCALARS)):
            return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return str(value)


def _hides_nothing(config: Any) -> bool:
    """True if every option that is known has its default. One that is not known may hide something."""
    hides = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    known = {name for name in hides if name.startswith("hide_")} | {"base64_image_max_length", "blob_uploader"}
    if hides.keys() - known - {"enable_genai_semconv"}:
        return False
    return not any(value for name, value in hides.items() if name != "base64_image_max_length")
