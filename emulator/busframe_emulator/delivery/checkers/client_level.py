"""Checks of what clients saw, of any broker that speaks SQS.

Each call took effect somewhere between its beginning and its end, if at all.
What certainly must not be is a violation; what must not be for some of the moments at which things may have happened is
undecided. A call with an unknown outcome may have had its effect at any time since it began: what comes of it is
*recovered*, and no fault.

Everything is split by message or by message group, and sorted once: no search.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal

from busframe_emulator.delivery.checkers.client_groups import check_exclusion, check_never_delivered, check_order
from busframe_emulator.delivery.checkers.client_messages import SECOND_US, DeliverySeen, MessageSeen, is_fifo
from busframe_emulator.delivery.checkers.verdicts import Finding, Findings, Report
from busframe_emulator.delivery.client_history import FOREVER_US, QueueFacts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from busframe_emulator.delivery.client_history import Call, ClientHistory, Seen

CLIENT_CHECKS: Final = (
    "invented", "corrupted", "lost", "stuck", "early", "while_invisible", "after_delete", "after_retention",
    "receive_count", "dlq", "fifo_order", "fifo_exclusion", "dedup", "handle", "batch",
)  # fmt: skip

STANDARD_MAY: Final = frozenset({"while_invisible", "after_delete"})
"""What a standard queue does now and then and is no fault. Amazon SQS developer guide, "at-least-once delivery"."""

DEDUPLICATION_US: Final = 300 * SECOND_US
_MAY: Final = frozenset({"ok", "unknown", "missing", "both"})
"""Outcomes of calls that may have had an effect."""


def check_clients(
    history: ClientHistory, *, allow: Collection[str] = (), standard_may: Collection[str] = STANDARD_MAY
) -> Report:
    """Judge what clients saw.

    Args:
        history: of all clients of the queues, as far as they matter: what one sent that is not in it is invented.
        allow: checks whose findings count as fine.
        standard_may: the same, on standard queues only.

    Raises:
        ValueError: there is no such check.
    """
    return _Judge(history, allow, standard_may).judge()


class _Judge:
    def __init__(self, history: ClientHistory, allow: Collection[str], standard_may: Collection[str]) -> None:
        Findings((), standard_may)  # refuses names that are none
        self._history = history
        self._found = Findings(CLIENT_CHECKS, allow)
        self._standard_may = frozenset(standard_may)
        self._messages: dict[tuple[str, str], MessageSeen] = {}
        self._queues_of: defaultdict[str, set[str]] = defaultdict(set)
        self._receipts: dict[tuple[str, str], DeliverySeen] = {}
        # Sends whose id nobody was told, by queue and body, first begun first.
        self._unknown: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        self._failed: defaultdict[tuple[str, str], list[Call]] = defaultdict(list)
        self._unclear: set[str] = set()
        self._empty_waits: dict[str, Call] = {}
        # When a receive began, by queue, that may have taken anything without anybody knowing: the first.
        self._blind: dict[str, int] = {}

    def judge(self) -> Report:
        calls = sorted(self._history.calls, key=lambda call: call.began)
        for call in calls:
            self._note_call(call)
        for call in sorted(calls, key=lambda one: one.ended_us):
            if call.op == "receive":
                self._note_receive(call)
        for call in calls:
            if call.op in {"delete", "visibility"} and call.outcome in _MAY:
                self._note_settlement(call)
        for message in self._messages.values():
            self._check_message(message)
        groups = self._groups()
        for members in groups.values():
            self._check_group(members)
        self._check_deduplication(calls)
        self._check_left(groups)
        notes = dict(sorted(self._found.notes.items()))
        return Report(level="client", events=len(calls), verdicts=self._found.verdicts, notes=notes)

    # --- gathering --------------------------------------------------------------------------------------------------

    def _facts(self, queue: str) -> QueueFacts:
        return self._history.queues.get(queue, QueueFacts())

    def _message(self, queue: str, name: str) -> MessageSeen:
        message = self._messages.get((queue, name))
        if message is None:
            message = self._messages[queue, name] = MessageSeen(id=name, queue=queue, facts=self._facts(queue))
            self._queues_of[name].add(queue)
        return message

    def _note_call(self, call: Call) -> None:
        if call.outcome in {"missing", "both"}:
            where = "in neither list" if call.outcome == "missing" else "in both lists"
            self._find("batch", call, "", f"an entry of a batch ({call.op}) is {where} of the answer")
        if call.op in {"purge", "move"} and call.outcome != "fail":
            self._unclear.add(call.queue)
        elif call.op == "send":
            if call.outcome == "ok" and call.id:
                self._message(call.queue, call.id).sends.append(call)
            elif call.outcome == "fail":
                self._failed[call.queue, call.body].append(call)
            else:
                self._unknown[call.queue, call.body].append(call)
        elif call.op == "receive" and call.outcome == "unknown":
            self._blind.setdefault(call.queue, call.began)
        elif call.op == "receive" and _has_looked_everywhere(call) and not call.messages:
            self._empty_waits[call.queue] = call

    def _note_receive(self, call: Call) -> None:
        facts = self._facts(call.queue)
        visibility_s = facts.visibility_s if call.visibility_s is None else call.visibility_s
        visibility_us = None if visibility_s is None else round(visibility_s * SECOND_US)
        for slot, seen in enumerate(call.messages):
            message = self._messages.get((call.queue, seen.id)) or self._recover(call, seen)
            delivery = DeliverySeen(call=call, seen=seen, slot=slot, visibility_us=visibility_us)
            message.deliveries.append(delivery)
            self._receipts.setdefault((call.queue, seen.receipt), delivery)

    def _recover(self, call: Call, seen: Seen) -> MessageSeen:
        """A message whose id no send was told: from another queue, from a send with an unknown outcome, or invented."""
        came_from = self._queues_of.get(seen.id)
        message = self._message(call.queue, seen.id)
        if came_from:
            self._found.notes["messages from another queue: dead letters, or moved"] += 1
            return message
        unknown = self._unknown[call.queue, seen.body]
        if unknown and unknown[0].began <= call.ended_us:
            message.sends.append(unknown.pop(0))
            self._found.notes["recovered: sent by a call with an unknown outcome"] += 1
        elif failed := [one for one in self._failed[call.queue, seen.body] if one.began <= call.ended_us]:
            message.sends.append(failed[0])
            self._find("batch", call, seen.id, "it was delivered, and the answer to its send said that it had failed")
        elif call.queue not in self._unclear:
            self._find("invented", call, seen.id, "nobody had sent it")
        return message

    def _note_settlement(self, call: Call) -> None:
        delivery = self._receipts.get((call.queue, call.receipt))
        if delivery is None:
            if call.outcome == "ok":
                self._find("handle", call, "", f"{call.op} by a receipt that nobody was given", certain=False)
        elif call.op == "delete":
            delivery.deletes.append(call)
        else:
            delivery.changes.append(call)

    # --- one message ------------------------------------------------------------------------------------------------

    def _check_message(self, message: MessageSeen) -> None:
        if not message.deliveries:
            return
        sent = message.sends[0] if message.sends else None
        if sent is not None:
            self._check_sending(message, sent)
        before: list[DeliverySeen] = []
        for delivery in message.deliveries:
            self._check_count(message, before, delivery)
            if before:
                self._check_hidden(message, before[-1], delivery)
                self._check_deleted(message, before, delivery)
            before.append(delivery)
        if message.is_fifo:
            for delivery in message.deliveries:
                self._check_late_delete(message, delivery)

    def _check_sending(self, message: MessageSeen, sent: Call) -> None:
        first, facts = message.first, message.facts
        delay_us = round((facts.delay_s if sent.delay_s is None else sent.delay_s) * SECOND_US)
        if first.ended < sent.began:
            self._find("invented", first.call, message.id, f"its send began at t={_s(sent.began)} only")
        elif first.ended < sent.began + delay_us:
            due = _s(sent.began + delay_us)
            self._find("early", first.call, message.id, f"its delay was not over before t={due}")
        for delivery in message.deliveries:
            if sent.body and delivery.seen.body and sent.body != delivery.seen.body:
                self._find("corrupted", delivery.call, message.id, "its body is not what was sent", delivery)
            if facts.retention_s is not None and sent.outcome == "ok":
                due_us = sent.ended_us + round(facts.retention_s * SECOND_US)
                if delivery.began > due_us:
                    text = f"its retention was over at t={_s(due_us)}"
                    self._find("after_retention", delivery.call, message.id, text, delivery)

    def _check_count(self, message: MessageSeen, before: list[DeliverySeen], delivery: DeliverySeen) -> None:
        count = delivery.seen.count
        if not count or (message.is_fifo and delivery.call.attempt is not None):
            return
        last = before[-1] if before else None
        certainly_before = sum(one.ended < delivery.began for one in before)
        if last is not None and last.ended < delivery.began and count <= last.seen.count:
            text = f"its count is {count}, after one of {last.seen.count}"
            self._find("receive_count", delivery.call, message.id, text, delivery)
        elif count <= certainly_before:
            text = f"its count is {count}, and it had been delivered {certainly_before} times"
            self._find("receive_count", delivery.call, message.id, text, delivery)
        most = message.facts.max_receives
        if most and message.sends and count > most:
            self._find("dlq", delivery.call, message.id, f"its count is {count}, and {most} is the most", delivery)

    def _check_hidden(self, message: MessageSeen, earlier: DeliverySeen, delivery: DeliverySeen) -> None:
        if delivery.call.attempt is not None and delivery.call.attempt == earlier.call.attempt:
            return  # the same receive once more
        hidden = earlier.hidden_until(delivery.ended)
        if hidden is None or any(one.began < delivery.ended for one in earlier.deletes):
            return
        least, most = hidden
        if delivery.began < earlier.ended:
            # Whichever came first, the other one came while it was hidden.
            least -= max(0, earlier.began - delivery.began)
        if delivery.ended < least:
            text = f"delivery {earlier.seen.count} hid it until t={_s(least)} at least"
            self._find("while_invisible", delivery.call, message.id, text, delivery)
        elif delivery.began < most:
            text = f"delivery {earlier.seen.count} hid it until some moment from t={_s(least)} to t={_s(most)}"
            self._find("while_invisible", delivery.call, message.id, text, delivery, certain=False)

    def _check_deleted(self, message: MessageSeen, before: list[DeliverySeen], delivery: DeliverySeen) -> None:
        """After the newest receipt has deleted it for certain, it does not come again."""
        newest = max(before, key=lambda one: (one.seen.count, one.ended))
        for delete in newest.deletes:
            if delete.outcome == "ok" and delete.ended_us < delivery.began:
                text = f"it was deleted by t={_s(delete.ended_us)}"
                self._find("after_delete", delivery.call, message.id, text, delivery)
                return

    def _check_late_delete(self, message: MessageSeen, delivery: DeliverySeen) -> None:
        for delete in delivery.deletes:
            hidden = delivery.hidden_until(delete.began)
            again = any(one is not delivery and one.began > delivery.ended for one in message.deliveries)
            if delete.outcome == "ok" and hidden is not None and hidden[1] < delete.began and again:
                text = f"it was deleted by a receipt whose time was over by t={_s(hidden[1])}"
                self._find("handle", delete, message.id, text, delivery)

    # --- one group --------------------------------------------------------------------------------------------------

    def _groups(self) -> dict[tuple[str, str], list[MessageSeen]]:
        groups: defaultdict[tuple[str, str], list[MessageSeen]] = defaultdict(list)
        for message in self._messages.values():
            if message.is_fifo and message.group is not None:
                groups[message.queue, message.group].append(message)
        return groups

    def _check_group(self, members: Sequence[MessageSeen]) -> None:
        check_order(members, self._find)
        check_exclusion(members, self._find)
        queue = members[0].queue
        if queue not in self._unclear:
            staying = [one for one in members if len(self._queues_of[one.id]) == 1]
            check_never_delivered(staying, self._find, blind_us=self._blind.get(queue, FOREVER_US))

    # --- all of a queue ---------------------------------------------------------------------------------------------

    def _check_deduplication(self, calls: Iterable[Call]) -> None:
        known: dict[tuple[str, str | None, str], Call] = {}
        for call in calls:
            facts = self._facts(call.queue)
            if call.op != "send" or call.outcome != "ok" or call.deduplication is None:
                continue
            if not is_fifo(call.queue, facts) or call.queue in self._unclear:
                continue
            key = (call.queue, call.group if facts.deduplicates_by_group else None, call.deduplication)
            first = known.get(key)
            if first is None:
                known[key] = call
            elif first.id == call.id:
                if call.began > first.ended_us + DEDUPLICATION_US:
                    text = f"{call.deduplication!r} counts as a duplicate of what was sent by t={_s(first.ended_us)}"
                    self._find("dedup", call, call.id, text)
            elif call.ended_us < first.began + DEDUPLICATION_US:
                text = f"{call.deduplication!r} was accepted as message {first.id} less than five minutes before"
                self._find("dedup", call, call.id, text)
            else:
                known[key] = call

    def _check_left(self, groups: dict[tuple[str, str], list[MessageSeen]]) -> None:
        """What should still be there was waited for in vain."""
        blind: defaultdict[str, int] = defaultdict(int)
        for call in self._history.calls:
            if call.op == "receive" and call.outcome == "unknown":
                # It may have taken anything, and hidden it.
                visibility_s = call.visibility_s or self._facts(call.queue).visibility_s or 43_200
                blind[call.queue] = max(blind[call.queue], call.ended_us + round(visibility_s * SECOND_US))
        for message in self._messages.values():
            if message.is_deleted or message.queue in self._unclear or len(self._queues_of[message.id]) > 1:
                continue
            if message.is_fifo and message.group is not None:
                members = groups.get((message.queue, message.group), [])
                if any(one is not message and not one.is_deleted for one in members):
                    continue  # who of them holds back the others is not known
            self._check_left_message(message, blind[message.queue])

    def _check_left_message(self, message: MessageSeen, blind_us: int) -> None:
        due_us = self._due_us(message)
        sent = message.sends[0] if message.sends else None
        if due_us is None or sent is None or sent.outcome != "ok":
            return
        wait = self._empty_waits.get(message.queue)
        retention_s = message.facts.retention_s
        check: Literal["stuck", "lost"] = "stuck" if message.deliveries else "lost"
        if wait is None or wait.began <= due_us:
            if check == "lost":
                self._find(check, sent, message.id, "it was not delivered, nor waited for in vain", certain=False)
        elif retention_s is not None and wait.ended_us > sent.began + retention_s * SECOND_US:
            return
        else:
            certain = wait.began > blind_us
            text = f"it was due by t={_s(due_us)}, and a receive from t={_s(wait.began)} on waited for it in vain"
            self._find(check, wait, message.id, text, certain=certain)

    def _due_us(self, message: MessageSeen) -> int | None:
        """When it can be received at the latest; None: not known, or not in this queue any more."""
        if not message.sends:
            return None
        sent, most = message.sends[0], message.facts.max_receives
        if most and message.deliveries and max(one.seen.count for one in message.deliveries) >= most:
            return None
        due_us = sent.ended_us + round((message.facts.delay_s if sent.delay_s is None else sent.delay_s) * SECOND_US)
        for delivery in message.deliveries:
            hidden = delivery.hidden_until(delivery.ended + (1 << 61))
            if hidden is None:
                return None
            due_us = max(due_us, hidden[1])
        return due_us

    # --- saying so --------------------------------------------------------------------------------------------------

    def _find(
        self,
        check: str,
        call: Call,
        message: str,
        text: str,
        delivery: DeliverySeen | None = None,
        *,
        certain: bool = True,
    ) -> None:
        if check in self._standard_may and not is_fifo(call.queue, self._facts(call.queue)):
            self._found.notes[f"{check}, as a standard queue may" + ("" if certain else " (it may be)")] += 1
            return
        at_us = call.began if call.ended is None else call.ended
        count = delivery.seen.count if delivery is not None else 0
        self._found.add(
            Finding(
                check=check, at_us=at_us, queue=call.queue, message=message, delivery=count, text=text, certain=certain
            )
        )


def _has_looked_everywhere(call: Call) -> bool:
    """It waited, for all the time it was ready to wait."""
    return call.outcome == "ok" and 0 < call.wait_s * SECOND_US <= call.ended_us - call.began


def _s(at_us: int) -> str:
    return f"{at_us / 1e6:.6f}".rstrip("0").rstrip(".")
