"""dramatiq with dramatiq-sqs, its worker in threads of this process."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq_sqs import SQSBroker
from measure import TEXT, task

job = task()
broker = SQSBroker(endpoint_url=job.endpoint, region_name="us-east-1")
dramatiq.set_broker(broker)
handled = 0
done = threading.Event()


@dramatiq.actor(queue_name="dramatiq-bench")
def happened(number: int, text: str) -> None:
    global handled
    handled += 1
    if handled == job.count:
        done.set()


happened.send(-1, TEXT)
worker = dramatiq.Worker(broker, worker_threads=10, worker_timeout=1000)
worker.start()
while handled == 0:
    done.wait(0.05)
handled = 0
job.begin()
for number in range(job.count):
    happened.send(number, TEXT)
done.wait(120)
job.end(handled)
worker.stop(timeout=5000)
