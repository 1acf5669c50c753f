"""OpenInference's accumulator of a chat's chunks, spared most of its work: pieces of text are joined before it sees them.

It dumps each chunk to plain data, under a change of the process's warning filters; of what adds only text to the same
choice, one joined chunk says the same. What it makes of the stream is the same, and is so when it is asked.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Optional

from hf_openobserve.diagnostics import swallowed


class Joining:
    """In place of ``accumulator``, with the three methods that OpenInference calls.

    OpenInference asks again when the stream is deleted, which may be at the end of the interpreter: then there is nothing to
    say any more. with_span: OpenInference's own, which knows whether the span has ended.
    """

    __slots__ = ("_accumulator", "_base", "_parts", "_with_span")

    def __init__(self, accumulator: Any, with_span: Any) -> None:
        self._accumulator = accumulator
        self._with_span = with_span
        self._base: Any = None
        self._parts: List[str] = []

    def process_chunk(self, chunk: Any) -> None:
        """Keep the text of a chunk that is nothing but text; give any other one on, after what came before it."""
        try:
            self._process(chunk)
        except Exception:  # noqa: BLE001 - a chunk of a form nobody knows; OpenInference would log it
            swallowed("openai chunk")

    def _process(self, chunk: Any) -> None:
        text = text_alone(chunk)
        if text is None:
            self._give_on()
            self._accumulator.process_chunk(chunk)
        elif self._base is not None and self._base.choices[0].index == chunk.choices[0].index:
            self._parts.append(text)
        else:
            self._give_on()
            self._base = chunk.model_copy(deep=True)  # the program may change its own
            self._parts = [text]

    def _give_on(self) -> None:
        base, self._base = self._base, None
        if base is None:
            return
        base.choices[0].delta.content = "".join(self._parts)
        self._accumulator.process_chunk(base)

    def get_attributes(self) -> Iterator[Any]:
        """As OpenInference's, until the span has ended."""
        if not getattr(self._with_span, "is_finished", False):
            self._give_on()
            yield from self._accumulator.get_attributes()

    def get_extra_attributes(self) -> Iterator[Any]:
        """As OpenInference's, until the span has ended."""
        if not getattr(self._with_span, "is_finished", False):
            self._give_on()
            yield from self._accumulator.get_extra_attributes()


def text_alone(chunk: Any) -> Optional[str]:
    """The text of a chat's chunk that carries no more than text for one choice; None for any other chunk."""
    try:
        choices = chunk.choices
        if len(choices) != 1 or chunk.usage is not None or chunk.model_extra:
            return None
        choice = choices[0]
        delta = choice.delta
        text = delta.content
        if (
            type(text) is not str
            or choice.finish_reason is not None
            or choice.logprobs is not None
            or delta.tool_calls is not None
            or delta.function_call is not None
            or delta.refusal is not None
            or delta.model_extra
            or choice.model_extra
        ):
            return None
    except (AttributeError, TypeError):  # another API's chunk, or pydantic 1, which has no model_extra
        return None
    return text
