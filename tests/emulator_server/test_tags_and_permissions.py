"""Tags, permissions, and who sends dead letters where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
OWNERS_ONLY = (
    "Value SQS:DeleteQueue for parameter ActionName is invalid. "
    "Reason: Only the queue owner is allowed to invoke this action."
)


def policy_of(sqs: Any, queue_url: str) -> Any:
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["Policy"])
    return json.loads(answer["Attributes"]["Policy"]) if "Attributes" in answer else None


def test_tags_are_added_changed_and_taken_off(sqs: Any, queue_url: str) -> None:
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=queue_url)
    sqs.tag_queue(QueueUrl=queue_url, Tags={"team": "a", "Team": "", "stage": "test"})
    sqs.tag_queue(QueueUrl=queue_url, Tags={"team": "b"})
    sqs.untag_queue(QueueUrl=queue_url, TagKeys=["stage", "nobody"])
    assert sqs.list_queue_tags(QueueUrl=queue_url)["Tags"] == {"team": "b", "Team": ""}


def test_a_queue_is_born_with_its_tags(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q", tags={"a": "b"})["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}


@pytest.mark.parametrize(
    "tags",
    [{}, {"": "x"}, {"x" * 129: "x"}, {"x": "y" * 257}, {"aws:x": "x"}, {"x": "a\nb"}, {str(n): "" for n in range(51)}],
)
def test_a_tag_that_breaks_the_rules_is_refused(sqs: Any, queue_url: str, tags: dict[str, str]) -> None:
    with pytest.raises(ClientError):
        sqs.tag_queue(QueueUrl=queue_url, Tags=tags)
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=queue_url)


def test_a_permission_is_a_statement_of_the_policy(sqs: Any, queue_url: str) -> None:
    sqs.add_permission(QueueUrl=queue_url, Label="one", AWSAccountIds=["111111111111"], Actions=["ReceiveMessage"])
    one = {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "SQS:ReceiveMessage",
        "Resource": ARN,
    }
    assert policy_of(sqs, queue_url) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [one],
    }
    sqs.add_permission(
        QueueUrl=queue_url, Label="two", AWSAccountIds=["111111111111", "222222222222"], Actions=["SendMessage", "*"]
    )
    two = policy_of(sqs, queue_url)["Statement"][1]
    assert two["Action"] == ["SQS:SendMessage", "SQS:*"]
    assert two["Principal"] == {"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]}
    sqs.remove_permission(QueueUrl=queue_url, Label="two")
    assert policy_of(sqs, queue_url)["Statement"] == [one]
    sqs.remove_permission(QueueUrl=queue_url, Label="one")
    assert policy_of(sqs, queue_url) is None


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"Label": "there"}, "Value there for parameter Label is invalid. Reason: Already exists."),
        ({"Actions": ["DeleteQueue"]}, OWNERS_ONLY),
        ({"Actions": ["*"] * 8}, "8 Actions were found, maximum allowed is 7."),
        ({"Actions": []}, "The request must contain the parameter Actions."),
        ({"AWSAccountIds": []}, "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify."),
        ({"AWSAccountIds": ["me"]}, "Value [me] for parameter PrincipalId is invalid. Reason: Unable to verify."),
    ],
)
def test_a_permission_that_breaks_the_rules_is_refused(
    sqs: Any, queue_url: str, changed: dict[str, Any], text: str
) -> None:
    good = {"QueueUrl": queue_url, "Label": "there", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]}
    sqs.add_permission(**good)
    with pytest.raises(ClientError) as caught:
        sqs.add_permission(**{**good, "Label": "new", **changed})
    error: Any = caught.value
    assert error.response["Error"]["Message"] == text


def test_a_policy_has_twenty_statements_at_most(sqs: Any, queue_url: str) -> None:
    grant = {"QueueUrl": queue_url, "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]}
    for number in range(20):
        sqs.add_permission(Label=str(number), **grant)
    with pytest.raises(ClientError) as caught:
        sqs.add_permission(Label="one-more", **grant)
    error: Any = caught.value
    assert error.response["Error"]["Code"] == "OverLimit"
    assert len(policy_of(sqs, queue_url)["Statement"]) == 20


def test_a_label_nobody_gave_cannot_be_removed(sqs: Any, queue_url: str) -> None:
    with pytest.raises(ClientError, match="can't find label"):
        sqs.remove_permission(QueueUrl=queue_url, Label="x")


def test_the_sources_of_a_dead_letter_queue_are_named_in_pages(sqs: Any, queue_url: str) -> None:
    policy = json.dumps({"deadLetterTargetArn": ARN, "maxReceiveCount": 3})
    assert "queueUrls" not in sqs.list_dead_letter_source_queues(QueueUrl=queue_url)
    urls = [
        sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"] for name in ("a", "b", "c")
    ]
    assert sqs.list_dead_letter_source_queues(QueueUrl=queue_url)["queueUrls"] == urls
    first = sqs.list_dead_letter_source_queues(QueueUrl=queue_url, MaxResults=2)
    assert first["queueUrls"] == urls[:2]
    second = sqs.list_dead_letter_source_queues(QueueUrl=queue_url, MaxResults=2, NextToken=first["NextToken"])
    assert (second["queueUrls"], second.get("NextToken")) == (urls[2:], None)
