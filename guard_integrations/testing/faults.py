"""Faults the local server shows on demand."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Fault", "FaultPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour of the server. Fields can be combined; a field that does not fit an answer does nothing.

    Args:
        path: the endpoint it is for, such as "/v1/moderations"; None is every endpoint.
        key: the label of the key it is for; None is every key.
        times: for so many matching requests; None is until `FaultPlan.clear`.
        skip: let so many matching requests pass first.
        status: answer with this status and Mistral's error body for it.
        headers: further headers of the answer.
        body: answer with this text instead.
        latency: seconds before the answer begins.
        first_byte_delay: seconds between the headers and the first byte of the body.
        chunk_delay: seconds before each further chunk of a stream.
        cut_after: drop the connection after so many chunks of a stream; a plain answer is cut in the middle.
        malformed: send JSON that ends too early; in a stream, one such frame after the first chunk.
        error_frame_after: after so many chunks of a stream send an error frame and end.
        without_choices_after: after so many chunks of a stream send a frame without `choices`, then go on.
        half_results: leave out the second half of the list of results (moderations) or data (embeddings).
        nulls: send null in place of every value in the results, data or choices.
        guardrail_failure: the guardrail of a chat request cannot decide; `block_on_error` then gives 403 with code 3201.
    """

    path: str | None = None
    key: str | None = None
    times: int | None = 1
    skip: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    latency: float = 0.0
    first_byte_delay: float = 0.0
    chunk_delay: float = 0.0
    cut_after: int | None = None
    malformed: bool = False
    error_frame_after: int | None = None
    without_choices_after: int | None = None
    half_results: bool = False
    nulls: bool = False
    guardrail_failure: bool = False


class FaultPlan:
    """The faults to come, thread-safe. A request takes the first that fits it, in the order they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[tuple[Fault, list[int]]] = []

    def add(self, *faults: Fault) -> None:
        """Plan these faults."""
        with self._lock:
            self._planned.extend((fault, [0]) for fault in faults)

    def clear(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._planned.clear()

    def take(self, path: str, key: str | None) -> Fault | None:
        """The fault for a request to this path with the key of this label, which is thereby used once."""
        if not self._planned:
            return None
        with self._lock:
            for fault, seen in self._planned:
                if fault.path not in (None, path) or fault.key not in (None, key):
                    continue
                if fault.times is not None and seen[0] >= fault.skip + fault.times:
                    continue
                seen[0] += 1
                if seen[0] > fault.skip:
                    return fault
        return None
