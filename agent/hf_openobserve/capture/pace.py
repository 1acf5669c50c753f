"""How fast a stream came: clock readings at its chunks, durations in seconds at its end. Pure, but for the clock."""

from __future__ import annotations

import time
from typing import Any, Dict, Optional


class Pace:
    """One stream. The call began when this was made; readings are ``time.perf_counter()``."""

    __slots__ = ("_asked", "_began", "chunks", "first_content", "last_chunk", "last_content", "longest_wait")

    def __init__(self, began: Optional[float] = None) -> None:
        self._began = time.perf_counter() if began is None else began
        self._asked = 0.0
        self.chunks = 0
        self.first_content = 0.0
        self.last_content = 0.0
        self.last_chunk = 0.0
        self.longest_wait = 0.0

    def asked(self) -> None:
        """The program asks for the next chunk: what it did since the last one is its own time, not the server's."""
        self._asked = time.perf_counter()

    def came(self) -> None:
        """The next chunk is there."""
        now = self.last_chunk = time.perf_counter()
        if self.chunks and now - self._asked > self.longest_wait:
            self.longest_wait = now - self._asked
        self.chunks += 1

    def had_content(self) -> None:
        """The chunk that just came carried content of the answer, not only a role, a reason or the usage."""
        self.last_content = self.last_chunk
        if not self.first_content:
            self.first_content = self.last_chunk

    def attributes(self, output_tokens: Optional[int]) -> Dict[str, Any]:
        """Durations of the stream; the ones per token only where the server counted the tokens."""
        if not self.chunks:
            return {}
        result: Dict[str, Any] = {"hf.stream.chunks": self.chunks, "hf.stream.longest_wait": self.longest_wait}
        if self.first_content:
            result["gen_ai.response.time_to_first_chunk"] = self.first_content - self._began
        generating = self.last_content - self.first_content
        if output_tokens is not None and output_tokens > 1 and generating > 0:
            result["hf.stream.time_per_output_token"] = generating / (output_tokens - 1)
            result["hf.stream.tokens_per_second"] = (output_tokens - 1) / generating
        return result
