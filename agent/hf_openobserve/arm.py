"""Stage one: wait for an LLM client's import, and replace nothing but what builds or first uses that client.

Everything a process pays that imports no client is here and in ``trigger``. Everything it pays that imports one but
builds none is in ``capture`` (no OpenTelemetry module is imported before the first client is built).
"""

import os

from hf_openobserve import switches, trigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Mapping, Optional

OPENAI_INSTRUMENTORS = (
    "openinference.instrumentation.openai",
    "opentelemetry.instrumentation.openai",
    "opentelemetry.instrumentation.openai_v2",
    "opentelemetry.instrumentation.genai.openai",
)
"""Modules with a class ``OpenAIInstrumentor``: an application that imports one instruments OpenAI itself."""

HUGGINGFACE_HUB_CLIENTS = (
    "huggingface_hub.inference._client",
    "huggingface_hub.inference._generated._async_client",
)
"""Where ``InferenceClient`` and ``AsyncInferenceClient`` live. Imported when a program touches them, not before."""

HUGGINGFACE_HUB_INSTRUMENTOR = "hf_openobserve.instrumentors.huggingface_hub"
"""An application that imports our instrumentor instruments huggingface_hub itself."""

door: "Optional[str]" = None
"""How the process was entered: ``pythonpath``, ``wrapper``, or None while nothing is armed."""


def arm(through: str, environ: "Mapping[str, str]" = os.environ) -> bool:
    """Register the triggers, once. ``through`` names the door; True if this call or an earlier one armed the process."""
    global door
    if door is not None:
        return True
    if switches.is_switched_off(environ):
        return False
    door = through
    disabled = switches.disabled_instrumentations(environ)
    if "*" in disabled:
        return True
    if "openai" not in disabled:
        trigger.on_import("openai", _openai_imported)
        for name in OPENAI_INSTRUMENTORS:
            trigger.on_import(name, _instrumentor_imported)
    if "huggingface_hub" not in disabled:
        for name in HUGGINGFACE_HUB_CLIENTS:
            trigger.on_import(name, _huggingface_hub_imported)
        trigger.on_import(HUGGINGFACE_HUB_INSTRUMENTOR, _own_instrumentor_imported)
    return True


def _openai_imported(module: "ModuleType") -> None:
    from hf_openobserve.capture import openai

    openai.arm(module)


def _instrumentor_imported(module: "ModuleType") -> None:
    from hf_openobserve.capture import foreign

    foreign.watch(module)


def _huggingface_hub_imported(module: "ModuleType") -> None:
    from hf_openobserve.capture import huggingface_hub

    huggingface_hub.arm(module)


def _own_instrumentor_imported(module: "ModuleType") -> None:
    from hf_openobserve.capture import huggingface_hub

    huggingface_hub.watch(module)
