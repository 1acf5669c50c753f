"""The resource of our provider: who this process is. ``service.name`` is never ``unknown_service``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from hf_openobserve import __version__
from hf_openobserve.config import environment_variables as env

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource


def create() -> Resource:
    """The SDK's resource (``OTEL_RESOURCE_ATTRIBUTES`` and its detectors) with what it does not know."""
    main = sys.modules.get("__main__")
    return complete(
        _detected(),
        service_name(os.environ, sys.argv, getattr(getattr(main, "__spec__", None), "name", None)),
    )


def _detected() -> Resource:
    """What the SDK's detectors find; they run on threads, which cannot be started once the main thread has ended."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    try:
        return Resource.create()
    except RuntimeError:
        return Resource({"service.name": "unknown_service"}).merge(OTELResourceDetector().detect())


def complete(detected: Resource, derived_name: str) -> Resource:
    """Add the distro's identity, a service name where none was given, and both spellings of the environment."""
    from opentelemetry.sdk.resources import Resource

    attributes: Dict[str, Any] = {"telemetry.distro.name": "hf-openobserve", "telemetry.distro.version": __version__}
    if str(detected.attributes.get("service.name", "")).startswith("unknown_service"):
        attributes["service.name"] = derived_name
    # OpenObserve's correlation knows the older name only, its agent pages the newer one only.
    names = ("deployment.environment.name", "deployment.environment")
    known = [detected.attributes[name] for name in names if detected.attributes.get(name)]
    if known:
        attributes.update({name: detected.attributes.get(name) or known[0] for name in names})
    return detected.merge(Resource(attributes))


def service_name(environ: Mapping[str, str], argv: List[str], main_spec_name: Optional[str]) -> str:
    """The program's name: the module of ``-m``, else the script's or console command's, else ``python``.

    ``main_spec_name`` is ``__main__.__spec__.name``, set only under ``-m``.
    """
    explicit = environ.get(env.OTEL_SERVICE_NAME, "").strip()
    if explicit:
        return explicit
    if main_spec_name and main_spec_name != "__main__":
        return main_spec_name[: -len(".__main__")] if main_spec_name.endswith(".__main__") else main_spec_name
    script = os.path.basename(argv[0].rstrip(os.sep)) if argv else ""
    if script == "__main__.py":  # a directory or an archive run as a program
        script = os.path.basename(os.path.dirname(os.path.abspath(argv[0])))
    stem = script[: -len(".py")] if script.endswith(".py") else script
    return stem if stem not in ("", "-", "-c", "-m") else "python"
