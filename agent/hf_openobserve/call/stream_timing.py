"""How fast a stream came: clock readings at its chunks, durations in seconds at its end. Pure, but for the clock."""

from __future__ import annotations

import time
from typing import Any, Dict, NamedTuple, Optional

COUNTS = ("prompt", "completion", "total", "completion_details.reasoning")
"""What ``Tokens`` holds, in its order, as OpenInference calls it (``llm.token_count.*``)."""


class Tokens(NamedTuple):
    """What a server counted of an answer, as far as it did. ``total`` is the prompt's and the answer's."""

    prompt: Optional[int] = None
    output: Optional[int] = None
    total: Optional[int] = None
    reasoning: Optional[int] = None

    def seen(self, *, pieces: int, reasoned: bool) -> Optional[int]:
        """The tokens that came as pieces of a stream: without the reasoning, unless there were pieces of that too."""
        if self.output is None or not self.reasoning or reasoned:
            return self.output
        if (self.total or 0) >= (self.prompt or 0) + self.output + self.reasoning:
            return self.output  # xAI counts its reasoning beside the output
        said = self.output - self.reasoning
        return self.output if pieces > said else said  # more pieces than that: the reasoning is in the text, as <think>


class StreamTiming:
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

    def came(self, *, as_chunk: bool = True) -> None:
        """The next chunk is there, or bytes of which it is not known yet how many chunks are in them."""
        now = self.last_chunk = time.perf_counter()
        if self.chunks and now - self._asked > self.longest_wait:
            self.longest_wait = now - self._asked
        self.chunks += as_chunk

    def had_content(self) -> None:
        """The chunk that just came carried content of the answer, not only a role, a reason or the usage."""
        self.last_content = self.last_chunk
        if not self.first_content:
            self.first_content = self.last_chunk

    def attributes(self, tokens: Tokens, *, pieces: int, reasoned: bool) -> Dict[str, Any]:
        """Durations of the stream; the ones per token only where the server counted the tokens.

        pieces: chunks that carried a part of the answer. reasoned: one of them was of the reasoning, not of what is
        said after it.
        """
        if not self.chunks:
            return {}
        result: Dict[str, Any] = {"hf.stream.chunks": self.chunks, "hf.stream.longest_wait": self.longest_wait}
        if self.first_content:
            result["gen_ai.response.time_to_first_chunk"] = self.first_content - self._began
        generating = self.last_content - self.first_content
        seen = tokens.seen(pieces=pieces, reasoned=reasoned)
        if seen is not None and seen > 1 and generating > 0:
            result["hf.stream.time_per_output_token"] = generating / (seen - 1)
            result["hf.stream.tokens_per_second"] = (seen - 1) / generating
        return result
