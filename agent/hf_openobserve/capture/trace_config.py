"""OpenInference's configuration as the agent uses it, for every client library."""

from __future__ import annotations

import os
import sys
from typing import Any


def trace_config() -> Any:
    """A ``TraceConfig`` from the environment, but images reach ``privacy`` whole, to be digested there."""
    from openinference.instrumentation import TraceConfig

    if "OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH" in os.environ:
        return TraceConfig()
    return TraceConfig(base64_image_max_length=sys.maxsize)
