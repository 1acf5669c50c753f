"""A strict OpenObserve for tests: real HTTP, real columns, real SQL, held to recordings of real servers.

It is the only part of the tests that stands in for something. Written from a description of facts (the notes behind
docs/server-contract.md; "contract" and their sections stand in the comments) and from recordings
(``tests/recordings``), which are right where both differ; never from the server's source. Where neither says anything,
a comment says so. It must not be bent to make a test pass.
"""

from .api import Limits
from .http import Answer, Request
from .server import FakeOpenObserve
from .sql import FieldNotFound, SqlError, StreamNotFound

__all__ = ["Answer", "FakeOpenObserve", "FieldNotFound", "Limits", "Request", "SqlError", "StreamNotFound"]
