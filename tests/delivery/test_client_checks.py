"""The checkers at the client's level: what is certain, what is undecided, and what a standard queue may do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from busframe_emulator.delivery.checkers.client_level import check_clients
from busframe_emulator.delivery.client_history import Call, ClientHistory, QueueFacts, Seen, write_client_history
from busframe_emulator.delivery.reading import check_history

S = 1_000_000


def call(op: Any, began_s: float, ended_s: float | None, **more: Any) -> Call:
    outcome = more.pop("outcome", "ok" if ended_s is not None else "unknown")
    ended = None if ended_s is None else round(ended_s * S)
    queue = more.pop("queue", "orders")
    return Call(op=op, queue=queue, began=round(began_s * S), ended=ended, outcome=outcome, **more)


def send(began_s: float, ended_s: float | None, name: str = "m", **more: Any) -> Call:
    return call("send", began_s, ended_s, id=name if ended_s is not None else "", body=name, **more)


def take(began_s: float, ended_s: float, name: str = "m", count: int = 1, **more: Any) -> Call:
    seen = Seen(
        id=name,
        receipt=f"{name}{count}",
        body=more.pop("body", name),
        count=count,
        group=more.pop("group", None),
        sequence=more.pop("sequence", None),
    )
    return call("receive", began_s, ended_s, messages=(seen,), **more)


def delete(began_s: float, ended_s: float | None, receipt: str = "m1", **more: Any) -> Call:
    return call("delete", began_s, ended_s, receipt=receipt, **more)


def found(*calls: Call, facts: QueueFacts | None = None, **options: Any) -> dict[str, str]:
    """What is not fine, by check. Both queues hide for 30 seconds."""
    known = facts or QueueFacts(visibility_s=30)
    history = ClientHistory(queues={"orders": known, "orders.fifo": known}, calls=list(calls))
    options.setdefault("standard_may", ())
    report = check_clients(history, **options)
    again = check_history(write_client_history(history), allow=options.get("allow", ()))
    assert again.events == report.events
    return {name: verdict.state for name, verdict in report.verdicts.items() if verdict.state != "ok"}


def test_a_message_sent_received_and_deleted_is_fine() -> None:
    assert found(send(0, 1), take(2, 3), delete(4, 5)) == {}


def test_a_message_nobody_sent_is_invented() -> None:
    assert found(take(2, 3)) == {"invented": "violation"}


def test_a_message_is_not_delivered_before_its_send_began() -> None:
    assert found(take(0, 1), send(2, 3), delete(4, 5)) == {"invented": "violation"}
    assert found(take(0, 3), send(2, 4), delete(5, 6)) == {}


def test_a_message_whose_send_has_an_unknown_outcome_is_recovered() -> None:
    assert found(send(0, None, "m"), take(2, 3, "m"), delete(4, 5)) == {}


def test_a_message_whose_send_had_failed_is_not() -> None:
    assert found(call("send", 0, 1, body="m", outcome="fail"), take(2, 3), delete(4, 5)) == {"batch": "violation"}


def test_an_entry_without_a_fate_is_a_fault_of_the_batch() -> None:
    assert found(call("send", 0, 1, body="m", outcome="missing"))["batch"] == "violation"


def test_a_body_is_what_was_sent() -> None:
    assert found(send(0, 1), take(2, 3, body="other"), delete(4, 5)) == {"corrupted": "violation"}


def test_a_delay_is_kept() -> None:
    assert found(send(0, 1, delay_s=5), take(2, 3), delete(4, 5)) == {"early": "violation"}
    assert found(send(0, 1, delay_s=5), take(2, 5.5), delete(6, 7)) == {}


def test_a_hidden_message_is_not_delivered() -> None:
    assert found(send(0, 1), take(2, 3), take(10, 11, count=2), delete(12, 13, "m2")) == {
        "while_invisible": "violation"
    }


def test_a_delivery_around_the_end_of_a_timeout_is_undecided() -> None:
    assert found(send(0, 1), take(2, 3), take(32, 33, count=2), delete(34, 35, "m2")) == {
        "while_invisible": "undecided"
    }
    assert found(send(0, 1), take(2, 3), take(33.1, 34, count=2), delete(35, 36, "m2")) == {}


def test_a_message_that_was_given_back_may_come_at_once() -> None:
    given_back = call("visibility", 4, 5, receipt="m1", visibility_s=0)
    assert found(send(0, 1), take(2, 3), given_back, take(6, 7, count=2), delete(8, 9, "m2")) == {}


def test_a_message_that_was_perhaps_given_back_is_undecided() -> None:
    given_back = call("visibility", 4, None, receipt="m1", visibility_s=0)
    calls = (send(0, 1), take(2, 3), given_back, take(6, 7, count=2), delete(8, 9, "m2"))
    assert found(*calls) == {"while_invisible": "undecided"}


def test_a_longer_timeout_counts_from_the_call() -> None:
    longer = call("visibility", 20, 21, receipt="m1", visibility_s=60)
    assert found(send(0, 1), take(2, 3), longer, take(40, 41, count=2), delete(42, 43, "m2")) == {
        "while_invisible": "violation"
    }


def test_a_deleted_message_does_not_come_back() -> None:
    assert found(send(0, 1), take(2, 3), delete(4, 5), take(40, 41, count=2)) == {"after_delete": "violation"}
    assert found(send(0, 1), take(2, 3), delete(4, None), take(40, 41, count=2), delete(42, 43, "m2")) == {}


def test_a_standard_queue_may_do_so_now_and_then_and_a_fifo_queue_may_not() -> None:
    calls = (send(0, 1), take(2, 3), delete(4, 5), take(40, 41, count=2))
    assert found(*calls, standard_may={"after_delete"}) == {}
    fifo = (
        send(0, 1, queue="orders.fifo"),
        take(2, 3, queue="orders.fifo"),
        delete(4, 5, queue="orders.fifo"),
        take(40, 41, count=2, queue="orders.fifo"),
    )
    assert found(*fifo, standard_may={"after_delete"}) == {"after_delete": "violation"}
    assert found(*fifo, allow={"after_delete"}) == {}


def test_receives_are_counted() -> None:
    assert found(send(0, 1), take(2, 3), take(40, 41, count=1), delete(42, 43)) == {"receive_count": "violation"}
    assert found(send(0, 1), take(2, 3, count=4), delete(4, 5, "m4")) == {}, "others were lost on their way"


def test_no_message_is_received_more_often_than_the_policy_says() -> None:
    facts = QueueFacts(visibility_s=30, max_receives=2)
    assert found(send(0, 1), take(2, 3, count=3), delete(4, 5, "m3"), facts=facts) == {"dlq": "violation"}


def test_a_message_grows_too_old() -> None:
    facts = QueueFacts(visibility_s=30, retention_s=60)
    assert found(send(0, 1), take(62, 63), delete(64, 65), facts=facts) == {"after_retention": "violation"}


def test_a_message_that_was_waited_for_in_vain_is_lost() -> None:
    assert found(send(0, 1), call("receive", 2, 12, wait_s=10)) == {"lost": "violation"}
    assert found(send(0, 1), call("receive", 2, 3, wait_s=10)) == {"lost": "undecided"}, "it did not wait its time"
    assert found(send(0, 1)) == {"lost": "undecided"}


def test_a_message_that_somebody_may_have_taken_is_not_certainly_lost() -> None:
    lost_answer = call("receive", 1, None)
    assert found(send(0, 1), lost_answer, call("receive", 2, 12, wait_s=10)) == {"lost": "undecided"}


def test_a_message_that_does_not_come_again_is_stuck() -> None:
    assert found(send(0, 1), take(2, 3), call("receive", 40, 60, wait_s=20)) == {"stuck": "violation"}
    assert found(send(0, 1), take(2, 3), call("receive", 20, 30, wait_s=10)) == {}


def fifo_send(began_s: float, ended_s: float, name: str, **more: Any) -> Call:
    return send(began_s, ended_s, name, queue="orders.fifo", group="g", **more)


def fifo_take(began_s: float, ended_s: float, name: str, **more: Any) -> Call:
    return take(began_s, ended_s, name, queue="orders.fifo", group="g", **more)


def test_a_group_keeps_its_order() -> None:
    sends = (fifo_send(0, 1, "a"), fifo_send(2, 3, "b"))
    deletes = (delete(9, 9.1, "a1", queue="orders.fifo"), delete(9, 9.1, "b1", queue="orders.fifo"))
    assert found(*sends, fifo_take(4, 5, "b"), fifo_take(6, 7, "a"), *deletes) == {"fifo_order": "violation"}
    assert found(*sends, fifo_take(4, 6.5, "b"), fifo_take(6, 7, "a"), *deletes) == {}, "either may have been first"


def test_a_message_of_a_group_is_not_passed_over() -> None:
    sends = (fifo_send(0, 1, "a"), fifo_send(2, 3, "b"))
    lost_is_not_the_question = {"lost"}

    def passed_over(*more: Call, at_s: float = 4, **facts: Any) -> dict[str, str]:
        taken = fifo_take(at_s, at_s + 1, "b")
        gone = delete(at_s + 2, at_s + 3, "b1", queue="orders.fifo")
        return found(*sends, *more, taken, gone, allow=lost_is_not_the_question, **facts)

    assert passed_over() == {"fifo_order": "violation"}
    assert passed_over(call("receive", 2, None, queue="orders.fifo")) == {}, "somebody may have taken it"
    assert passed_over(call("purge", 2, 3, queue="orders.fifo")) == {}
    assert passed_over(at_s=100) == {}, "its time may be over"
    assert found(fifo_send(0, 2.5, "a"), sends[1], fifo_take(4, 5, "b"), allow={"lost", "stuck"}) == {}, (
        "b may be first"
    )


def test_a_group_in_flight_gives_nothing() -> None:
    calls = (fifo_send(0, 1, "a"), fifo_send(2, 3, "b"), fifo_take(4, 5, "a"), fifo_take(6, 7, "b"))
    deletes = (delete(8, 9, "a1", queue="orders.fifo"), delete(8, 9, "b1", queue="orders.fifo"))
    assert found(*calls, *deletes) == {"fifo_exclusion": "violation"}
    early = delete(5.5, 5.8, "a1", queue="orders.fifo")
    assert found(*calls, early, deletes[1]) == {}


def test_a_duplicate_is_known_for_five_minutes() -> None:
    def sent(began_s: float, name: str) -> Call:
        return fifo_send(began_s, began_s + 1, name, deduplication="x")

    lost_is_not_the_question = {"lost"}
    assert found(sent(0, "a"), sent(100, "b"), allow=lost_is_not_the_question) == {"dedup": "violation"}
    assert found(sent(0, "a"), sent(100, "a"), allow=lost_is_not_the_question) == {}
    assert found(sent(0, "a"), sent(302, "a"), allow=lost_is_not_the_question) == {"dedup": "violation"}
    assert found(sent(0, "a"), sent(302, "b"), allow=lost_is_not_the_question) == {}


def test_a_dead_letter_is_not_invented() -> None:
    assert found(send(0, 1), take(2, 3), take(40, 41, queue="dead", count=2), delete(42, 43, "m2", queue="dead")) == {}


def test_a_history_of_another_form_is_refused() -> None:
    header = '{"busframe_history": 1, "level": "client"}'
    sent: dict[str, Any] = {"op": "send", "queue": "orders", "began": 1}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**sent, "op": "sned"}, "op 'sned': there are delete, move"),
        ({**sent, "when": 2}, "when: no such member; there are op, queue"),
        ({"queue": "orders", "began": 1}, "missing required field `op`"),
        ({**sent, "began": "1"}, "Expected `int`, got `str` - at `$.began`"),
        ({**sent, "ended": 0}, "ended 0 is before began 1"),
        ({**sent, "messages": [{"id": "m1"}]}, "missing required field `receipt` - at `$.messages[0]`"),
        ({**sent, "messages": [{"id": "m1", "receipt": "r", "cuont": 1}]}, "cuont: no such member; there are id"),
        ({"settings": {}}, "missing required field `queue`"),
        ({"queue": "orders", "settings": {"visibility": 30}}, "visibility: no such member; there are fifo"),
    ]
    for line, told in wrong:
        with pytest.raises(ValueError, match=re.escape(told)) as refused:
            check_history([header, json.dumps(line)])
        assert str(refused.value).startswith("line 2: ")
