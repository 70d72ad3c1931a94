"""Celery, its worker in a thread of this process, so that one process pays for sending and handling, as elsewhere."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from celery import Celery
from celery.contrib.testing.worker import start_worker
from measure import TEXT, task

job = task()
place = urlsplit(job.endpoint)
app = Celery("bench", broker=f"sqs://x:x@{place.hostname}:{place.port}//")
app.conf.update(
    broker_transport_options={"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0},
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=10,
    worker_enable_remote_control=False,
    task_default_queue="celery-bench",
)
handled = 0
done = threading.Event()


@app.task
def happened(number: int, text: str) -> None:
    global handled
    handled += 1
    if handled == job.count:
        done.set()


happened.delay(-1, TEXT)
with start_worker(app, pool="threads", concurrency=10, perform_ping_check=False, shutdown_timeout=30):
    while handled == 0:
        done.wait(0.05)
    handled = 0
    job.begin()
    for number in range(job.count):
        happened.delay(number, TEXT)
    done.wait(120)
    job.end(handled)
