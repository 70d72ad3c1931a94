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
done = threading.Event()


@app.task
def happened(_number: int, _text: str) -> None:
    if job.handle():
        done.set()


happened.delay(-1, TEXT)
with start_worker(app, pool="threads", concurrency=10, perform_ping_check=False, shutdown_timeout=30):
    while not job.handled:
        done.wait(0.05)
    job.begin()
    for number in range(job.count):
        happened.delay(number, TEXT)
    done.wait(120)
    job.end()
