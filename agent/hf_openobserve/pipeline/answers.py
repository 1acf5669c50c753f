"""Where the answers of functions go back: the last moment in which the process is not frozen.

The one module that replaces functions which their libraries do not offer for it: of AWS's runtime client
(``awslambdaric``, which is also in Lambda's own images) and of uvicorn. Guarded: where a name is missing nothing is
replaced, and each call waits by itself (``flushing``).
"""

from __future__ import annotations

import functools
import math
import threading
import time
from typing import Any, Callable, Optional

from hf_openobserve.pipeline.flushing import Flushing
from hf_openobserve.process import diagnostics, import_hook

_LAMBDA = "awslambdaric.lambda_runtime_client"
_UVICORN = ("uvicorn.protocols.http.h11_impl", "uvicorn.protocols.http.httptools_impl")
_TO_ANSWER_S = 0.1
"""What is left of an invocation's time for the answer itself."""


class Answers:
    """The answers of a process."""

    def __init__(self) -> None:
        self._flushing: Optional[Flushing] = None
        self._invocation = threading.local()
        """``deadline``: when Lambda ends the one that this thread answers, in seconds since the epoch."""

    def follow(self, flushing: Flushing) -> None:
        """From now on the answers of the libraries that are, and will be, imported wait for ``flushing``."""
        self._flushing = flushing
        import_hook.on_import(_LAMBDA, self.follow_lambda)
        for name in _UVICORN:
            import_hook.on_import(name, self.follow_uvicorn)

    def follow_lambda(self, module: Any) -> None:
        """See those that AWS's runtime client posts."""
        # Since 4.0 two kinds of clients have one base.
        client = getattr(module, "BaseLambdaRuntimeClient", None) or module.LambdaRuntimeClient
        sending = [_once(post, self._awaited) for post in (client.post_invocation_result, client.post_invocation_error)]
        receiving = _once(client.wait_next_invocation, self._noting_deadline)
        # All are there: only now anything is replaced.
        client.post_invocation_result, client.post_invocation_error = sending
        client.wait_next_invocation = receiving
        self._seen()

    def follow_uvicorn(self, module: Any) -> None:
        """See those that uvicorn sends."""
        cycle = module.RequestResponseCycle
        cycle.send = _once(cycle.send, self._awaited_on_loop)
        self._seen()

    def _seen(self) -> None:
        if self._flushing is not None:
            self._flushing.sees_answers = True

    def _awaited(self, post: Any) -> Any:
        def after_delivery(*args: Any, **kwargs: Any) -> Any:
            if self._flushing is not None:
                left_s = getattr(self._invocation, "deadline", math.inf) - time.time() - _TO_ANSWER_S
                diagnostics.guarded("before an answer", self._flushing.before_answer, left_s)
            return post(*args, **kwargs)

        return after_delivery

    def _noting_deadline(self, wait: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            request = wait(*args, **kwargs)
            self._invocation.deadline = diagnostics.guarded("deadline", _deadline, request, default=math.inf)
            return request

        return noted

    def _awaited_on_loop(self, send: Any) -> Any:
        async def after_delivery(cycle: Any, message: Any) -> None:
            try:
                # An answer has ended with the message that has no more body.
                is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
                if is_last and self._flushing is not None:
                    await self._flushing.before_answer_of_task()
            except Exception:  # noqa: BLE001 - a cancellation is none, and passes
                diagnostics.swallowed("before an answer")
            await send(cycle, message)

        return after_delivery


def _once(original: Any, around: Callable[[Any], Any]) -> Any:
    """What stands in the place of a function: ``around`` it, or the function itself if it is ours already."""
    if getattr(original, "by_openobserve", False):
        return original
    ours: Any = functools.wraps(original)(around(original))
    ours.by_openobserve = True
    return ours


def _deadline(request: Any) -> float:
    return float(request.deadline_time_in_ms) / 1000
