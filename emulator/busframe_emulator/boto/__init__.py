"""SQS for boto3 and aiobotocore in this process: no server, no socket.

    with emulated_sqs() as sqs:
        client = sqs.client()
        url = client.create_queue(QueueName="orders")["QueueUrl"]

botocore builds and checks each request as ever, and what it would then send goes straight to the engine; answers and
errors come back as if they had been parsed off the wire.

Read in this order: `emulated` (what a test uses), `hook` (how botocore is caught), `driver` (one engine, many
threads), `polls` and `tasks` (how a thread and an asyncio task wait), `sessions` (boto3 sessions that cost little).
"""

from busframe_emulator.boto.emulated import EmulatedSqs, emulated_sqs

__all__ = ["EmulatedSqs", "emulated_sqs"]
