"""What LlamaIndex's handlers of events and of spans share: a sink for records, and a count of those it has lost."""

from typing import Annotated, Any

from llama_index.core.bridge.pydantic import BaseModel, Field
from pydantic import AfterValidator

from guard_integrations.core.records import Framework, RecordSink, RequestRecord, flushed, log_record, queued

__all__ = ["RecordWriter"]


class RecordWriter(BaseModel):
    """Writes records to a sink.

    Args:
        sink: takes each record, in a thread of its own (`QueuedSink`), so that it may be slow; where none is given, it
            is one JSON line to the logger `guard_integrations`.
    """

    sink: Annotated[RecordSink, AfterValidator(queued)] = Field(default=log_record, exclude=True)
    lost: int = Field(default=0, exclude=True, repr=False)
    """How many records could not be made, or handed over."""

    def write(self, **fields: Any) -> None:  # noqa: ANN401 - a record's fields, which the record checks
        """Writes a record; a log never takes a request down."""
        try:
            self.sink(RequestRecord(framework=Framework.LLAMA_INDEX, **fields))
        except Exception:  # noqa: BLE001 - whatever it is
            self.lost += 1

    @property
    def dropped(self) -> int:
        """How many records were lost: the sink had no room, or raised."""
        return self.lost + getattr(self.sink, "dropped", 0)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits for the sink, `timeout` seconds at most; gives whether it has taken every record."""
        return flushed(self.sink, timeout)
