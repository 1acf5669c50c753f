"""The two questions every process asks before anything else: is the agent off, and which of its parts are.

Free of imports: the bootstrap asks them in processes that will never use the agent (docs/laws.md#2).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import FrozenSet, Mapping


def is_switched_off(environ: "Mapping[str, str]") -> bool:
    """True if ``OPENOBSERVE_ENABLED`` says no or ``OTEL_SDK_DISABLED`` says true (its specified meaning)."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return True
    return environ.get("OPENOBSERVE_ENABLED", "").strip().lower() in ("false", "0", "no", "off")


def disabled_instrumentations(environ: "Mapping[str, str]") -> "FrozenSet[str]":
    """The names in ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``, spaces removed; ``*`` means all."""
    names = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())
