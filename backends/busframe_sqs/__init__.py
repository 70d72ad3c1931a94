"""The backend `sqs://region`: Amazon SQS, or what speaks its protocol, through boto3 in worker threads.

`sqs://eu-west-1?prefix=dev-`. Credentials are found as boto3 finds them, and are no part of the URL. Parameters:

    prefix=dev-          stands before every queue's name, so that systems share an account
    endpoint_url=http..  another place than the region's own, such as an emulator
    profile=staging      of the AWS configuration files
    polls=100            how many waiting receives may be under way at once: a thread and a connection each, made as
                         needed. A receive beyond that waits for another to end, for up to 20 seconds
    calls=16             the same for calls of all other kinds, which never wait behind those
    wait_s=20            longest wait of one receive, 1 to 20: an idle consumer makes one call in this time, and closing
                         may take as long. 1 suits tests against an emulator
    large_bucket=bodies  a message over 1 MiB (up to 256 MiB) has its body in this bucket of S3, and room for nine
                         attributes of its own; see `claims`. Without it such a message is refused
    large_prefix=shop/   stands before the keys of the objects there
    large_endpoint_url=  another place of S3 than the region's own

A role that sends needs `sqs:GetQueueUrl` and `sqs:SendMessage`; one that receives `sqs:GetQueueUrl`,
`sqs:ReceiveMessage`, `sqs:DeleteMessage` and `sqs:ChangeMessageVisibility`; `SqsBackend.provision` says what it needs.
With `large_bucket` both need `s3:DeleteObject`, and `s3:PutObject` or `s3:GetObject`, on the objects under its prefix;
who consumes also `s3:ListBucket` on the bucket, or S3 says of an object that is gone that it is forbidden.

`busframe topology iam` prints policies for each role.

botocore's own retries are off: the bus repeats what it sends, receives and settles; calls about queues are repeated
here, with the same waits (see `repeating`); calls of S3 botocore repeats twice. A call of SQS ends after 35 seconds at
the latest, answered or not. The logs of AWS show the user agent `Boto3/... Busframe`.

Closing waits for what is under way, up to `wait_s` seconds for a receive that was cancelled; see `opening.serve`.

The parts, from the service upwards:

    client, errors           the boto3 calls used, with types; what SQS's and botocore's errors mean
    calls, connection        blocking calls that outlive a cancelled caller; threads, queue URLs
    repeating                which calls are made again after a failure
    polls, provisioning      receives, and who gets the answer of a cancelled one; queues as planned
    translate, claims        messages and batch answers, between the bus's values and SQS's; large bodies in S3
    settings, backend,       the URL; the contract; how all is put together
    opening
"""

from busframe_sqs.backend import SqsBackend
from busframe_sqs.opening import open_sqs

__all__ = ["SqsBackend", "open_sqs"]
