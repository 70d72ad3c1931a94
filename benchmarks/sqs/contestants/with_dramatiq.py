"""dramatiq with dramatiq-sqs, its worker in threads of this process."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq_sqs import SQSBroker
from measure import TEXT, task

job = task()
broker = SQSBroker(endpoint_url=job.endpoint, region_name="us-east-1")
dramatiq.set_broker(broker)
done = threading.Event()


@dramatiq.actor(queue_name="dramatiq-bench")
def happened(_number: int, _text: str) -> None:
    if job.handle():
        done.set()


happened.send(-1, TEXT)
worker = dramatiq.Worker(broker, worker_threads=10, worker_timeout=1000)
worker.start()
while not job.handled:
    done.wait(0.05)
job.begin()
for number in range(job.count):
    happened.send(number, TEXT)
done.wait(120)
job.end()
worker.stop(timeout=5000)
