"""What every contestant does the same: read its orders, count, and tell what it used."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass

TEXT = "x" * 80


@dataclass
class Task:
    endpoint: str
    count: int
    handled: int = 0

    def handle(self) -> bool:
        """Count a message, and say whether it was the last."""
        self.handled += 1
        return self.handled == self.count

    def begin(self) -> None:
        """Imports, connections and what was handled until now are not measured: a service does them once."""
        self.handled = 0
        self._cpu_s = time.process_time()
        self._wall_s = time.perf_counter()

    def end(self, calls: object = None) -> None:
        """Tell what was used, and of whom it is known, how many calls or what a call costs, by its kind."""
        used = {
            "cpu_s": time.process_time() - self._cpu_s,
            "wall_s": time.perf_counter() - self._wall_s,
            "handled": self.handled,
            "calls": calls,
        }
        print("RESULT " + json.dumps(used), flush=True)


def task() -> Task:
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1")  # noqa: S106 - the emulator believes anybody
    endpoint, count = sys.argv[1:3]
    return Task(endpoint, int(count))
