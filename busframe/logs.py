"""Logs for programs: what the running code works on in every record, and records as JSON.

    handler = logging.StreamHandler()
    handler.addFilter(WithDelivery())
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])

The bus logs to the logger `busframe`, with texts that stay the same (`record.msg`) and fields beside them;
docs/observability.md lists them. Any other formatter that writes a record's own fields will do as well.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from busframe.delivery import current_delivery
from busframe.runtime import iso_time

FIELDS: Final = (
    "queue",
    "group",
    "message_type",
    "message_id",
    "bus_id",
    "attempt",
    "correlation_id",
    "causation_id",
)
"""What a record about a message has."""


class WithDelivery(logging.Filter):
    """Gives each record that is made inside a handler the fields of the message it handles.

    Lets every record pass. Attach it to a `logging.Handler`: filters of loggers do not see what other loggers record.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; those the record has already stay."""
        delivery = current_delivery()
        if delivery is not None and not hasattr(record, "message_id"):
            headers = delivery.headers
            record.queue = delivery.queue
            record.message_type = headers.type
            record.message_id = delivery.message_id
            record.bus_id = headers.id
            record.attempt = delivery.attempt
            record.correlation_id = headers.correlation_id or headers.id
            record.causation_id = headers.causation_id
        return True


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: what every record has, and whatever was given to it with `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write it. What JSON has no word for is written as its `str`."""
        line: dict[str, object] = {
            "time": iso_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "event": record.msg if isinstance(record.msg, str) else str(record.msg),
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN and value is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What the logging package itself keeps in a record."""
