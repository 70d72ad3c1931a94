"""boto3 and nothing else: ten messages at a time are sent, received and deleted, in one thread.

What no client made on boto3 can undercut. The messages are as large as those of the others.
"""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
from botocore.config import Config
from measure import TEXT, task

BATCH = 10
HEADERS = "x" * 120  # as many as the attribute of a bus has

job = task()
untyped: Any = boto3
sqs = untyped.client("sqs", endpoint_url=job.endpoint, config=Config(retries={"total_max_attempts": 1}))
url = sqs.create_queue(QueueName="bench")["QueueUrl"]
bodies = [json.dumps({"number": number, "text": TEXT}) for number in range(job.count)]
used_s = {"SendMessageBatch": 0.0, "ReceiveMessage": 0.0, "DeleteMessageBatch": 0.0}


def timed(name: str, call: Any, **parameters: Any) -> Any:
    begun_s = time.thread_time()
    answer = call(QueueUrl=url, **parameters)
    used_s[name] += time.thread_time() - begun_s
    return answer


def entry(index: int, body: str) -> dict[str, Any]:
    attribute = {"DataType": "String", "StringValue": HEADERS}
    return {"Id": str(index), "MessageBody": body, "MessageAttributes": {"bus": attribute}}


job.begin()
for first in range(0, job.count, BATCH):
    entries = [entry(index, body) for index, body in enumerate(bodies[first : first + BATCH])]
    timed("SendMessageBatch", sqs.send_message_batch, Entries=entries)
while job.handled < job.count:
    wanted = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    answer = timed("ReceiveMessage", sqs.receive_message, MaxNumberOfMessages=BATCH, WaitTimeSeconds=1, **wanted)
    messages = answer.get("Messages", [])
    receipts = [{"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]} for index, each in enumerate(messages)]
    if receipts:
        timed("DeleteMessageBatch", sqs.delete_message_batch, Entries=receipts)
    for _ in messages:
        job.handle()
job.end({name: round(seconds * 1000 / (job.count / BATCH), 3) for name, seconds in used_s.items()})
