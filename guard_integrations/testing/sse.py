"""The stream of an answer: server-sent events as Mistral sends them."""

import json
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["frames"]


def frames(  # noqa: PLR0913 - the parts of a stream
    base: Mapping[str, object],
    *,
    choices: int,
    parts: Sequence[object],
    tool_calls: Sequence[Mapping[str, object]],
    finish_reason: str,
    last: Mapping[str, object],
) -> Iterator[bytes]:
    """The frames: the role, the parts of the content, the end, `[DONE]`.

    Args:
        base: what every frame carries: `id`, `object`, `created`, `model`.
        choices: how many choices say the same.
        parts: contents of the deltas.
        tool_calls: they come whole, in the last frame.
        finish_reason: of the last frame.
        last: what only the last frame carries: `usage`, `guardrails`.
    """
    for index in range(choices):
        yield _frame(base, index, {"role": "assistant", "content": ""}, None)
    # Only the content differs from frame to frame: what stands round it is encoded once.
    around = [_frame(base, index, {"content": 0}, None).split(b'"content":0') for index in range(choices)]
    for part in parts:
        content = b'"content":' + _json(part)
        for before, behind in around:
            yield before + content + behind
    delta: dict[str, object] = {"content": "", **({"tool_calls": list(tool_calls)} if tool_calls else {})}
    for index in range(choices):
        yield _frame({**base, **(last if index == choices - 1 else {})}, index, delta, finish_reason)
    yield b"data: [DONE]\n\n"


def _frame(base: Mapping[str, object], index: int, delta: Mapping[str, object], finish_reason: str | None) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + _json({**base, "choices": [choice]}) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
