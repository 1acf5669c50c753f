"""Zero-code OpenTelemetry agent: Hugging Face inference calls, seen in OpenObserve.

Importing this package imports nothing else: every process on a machine may pay for it (see ``door``).
"""

__version__ = "0.1.0"
