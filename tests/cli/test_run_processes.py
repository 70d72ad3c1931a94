"""`busframe run` as processes: signals, kill -9, workers that are replaced, given up, reloaded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cli.shop import APP, process_of

from busframe.cli.running import DONE, FAILED, FOUND, MISUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Asked = Any  # the fixture's function
PATIENCE_S = 60


def publish(asked: Asked, count: int, *, customer: str = "ada") -> list[str]:
    orders = [f"{n}" for n in range(count)]
    lines = "".join(f'{{"order": "{order}", "customer": "{customer}"}}\n' for order in orders)
    assert asked("publish", "shop_app:bus", "shop.order.placed", "-", stdin=lines)[0] == DONE
    return orders


def log(folder: Path, what: str) -> list[tuple[str, int]]:
    """The orders something was done with, and by which process."""
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(order, int(pid)) for did, order, pid in map(str.split, lines) if did == what]


def depth(asked: Asked, queue: str = "shop-billing") -> tuple[int, int]:
    """How many messages are visible, and how many in flight or delayed."""
    row = asked("stats", "--prefix", queue)[1].splitlines()[1].split()
    return int(row[1]), int(row[2]) + int(row[3])


def until(condition: Callable[[], object]) -> None:
    """Wait for something that other processes do."""
    end_s = time.monotonic() + PATIENCE_S  # noqa: TID251 - real processes take real time
    while not condition():
        assert time.monotonic() < end_s, "it has not come true"  # noqa: TID251 - the same
        time.sleep(0.02)  # noqa: TID251 - the same


def has_begun(folder: Path, pid: int) -> bool:
    return pid in {by for _, by in log(folder, "billed")}


def are_done(folder: Path, count: int) -> bool:
    return len(log(folder, "done")) == count


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended: nobody here is its parent, and init may take its time.
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
        return stat.read().rpartition(") ")[2][0] != "Z"


class Running:
    """A `busframe run` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.said: list[str] = []
        self._folder = folder

    def wait_for(self, text: str) -> str:
        """Read its log up to a line with this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}:\n{''.join(self.said)}")

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, wait for the end, and return exit code and output."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        self.said.append(err)
        return self.process.returncode, out


@contextmanager
def running(folder: Path, *arguments: str, app: str = "shop_app:bus", before: str = "") -> Generator[Running]:
    """Run a program; `before`: what the process does before that, as Python."""
    python, option, script, *rest = process_of("run", app, *arguments)
    with subprocess.Popen(
        [python, option, before + script, *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        try:
            yield Running(process, folder)
        finally:
            if process.poll() is None:
                process.kill()


def worker_pid(line: str) -> int:
    """The process that a line says a worker is."""
    return int(line.rpartition("is process ")[2])


@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(asked: Asked, folder: Path, number: signal.Signals, more: list[str]) -> None:
    publish(asked, 200, customer="slow")
    with running(folder, "--group", "billing", "--concurrency", "2", *more) as run:
        until(lambda: len(log(folder, "done")) > 5)
        code, _ = run.end(number)
    assert code == DONE
    begun, done = log(folder, "billed"), log(folder, "done")
    assert sorted(begun) == sorted(done)
    assert depth(asked) == (200 - len(done), 0)


@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_a_second_signal_gives_back_what_is_in_hand(asked: Asked, folder: Path, more: list[str]) -> None:
    publish(asked, 2, customer="stuck")
    with running(folder, "--group", "billing", *more) as run:
        until(lambda: len(log(folder, "billed")) == 2)
        run.process.send_signal(signal.SIGTERM)
        if more:
            run.wait_for("draining")
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(1)
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    assert depth(asked) == (2, 0)


def test_workers_that_are_killed_are_replaced_and_lose_no_message(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 600, customer="slow")
    with running(folder, "--group", "billing", "--workers", "2", "--concurrency", "5") as run:
        victims = [worker_pid(run.wait_for("is process")) for _ in range(2)]
        for _ in range(3):
            victim = victims.pop(0)
            until(partial(has_begun, folder, victim))
            os.kill(victim, signal.SIGKILL)
            assert "SIGKILL" in run.wait_for("died")
            victims.append(worker_pid(run.wait_for("is process")))
        until(lambda: {order for order, _ in log(folder, "done")} == set(orders))
        until(lambda: depth(asked) == (0, 0))
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    # What was in hand came again; everything else came once.
    assert len(log(folder, "billed")) <= 600 + 3 * 5


def test_a_parent_that_is_killed_takes_its_workers_with_it_and_loses_no_message(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 400, customer="slow")
    with running(folder, "--group", "billing", "--workers", "2", "--concurrency", "5") as run:
        workers = [worker_pid(run.wait_for("is process")) for _ in range(2)]
        until(lambda: {pid for _, pid in log(folder, "done")} == set(workers))
        run.process.kill()
        run.process.wait(PATIENCE_S)
        until(lambda: not any(map(is_alive, workers)))
    # They have drained: what was begun was ended.
    assert sorted(log(folder, "billed")) == sorted(log(folder, "done"))
    assert depth(asked)[1] == 0
    assert asked("run", "shop_app:bus", "--drain", "--group", "billing")[0] == DONE
    assert Counter(order for order, _ in log(folder, "done")) == Counter(orders)


def test_a_worker_that_cannot_drain_does_not_outlive_a_parent_that_is_killed(asked: Asked, folder: Path) -> None:
    publish(asked, 1, customer="blocking")
    with running(folder, "--group", "billing", "--workers", "2", "--drain-s", "0") as run:
        workers = [worker_pid(run.wait_for("is process")) for _ in range(2)]
        until(lambda: log(folder, "billed"))
        run.process.kill()
        run.process.wait(PATIENCE_S)
        until(lambda: not any(map(is_alive, workers)))
    until(lambda: depth(asked) == (1, 0))


def test_a_program_that_dies_at_once_is_given_up_loudly(asked: Asked, folder: Path) -> None:
    assert asked
    (folder / "broken_app.py").write_text("raise RuntimeError('no such thing')")
    with running(folder, "--workers", "2", app="broken_app:bus") as run:
        code, _ = run.end()
    assert code == FOUND
    said = "".join(run.said)
    assert "RuntimeError: no such thing" in said
    assert "CRITICAL" in said
    assert "5 times in a row" in said
    assert "starting another in 4.0 s" in said


def test_wrong_use_is_not_tried_again(asked: Asked, folder: Path) -> None:
    assert asked
    with running(folder, "--workers", "2", "--group", "packing") as run:
        code, _ = run.end()
    assert code == MISUSED
    assert "group='packing'" in "".join(run.said)
    assert "starting another" not in "".join(run.said)


def test_several_workers_drain_the_queues_and_end(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 300)
    with running(folder, "--drain", "--workers", "3") as run:
        code, out = run.end()
    assert code == DONE
    assert Counter(order for order, _ in log(folder, "done")) == Counter(orders)
    rows = {row.split()[0]: row.split()[1:] for row in out.splitlines()}
    assert rows["shop-billing"] == ["300", "300", "0", "0", "0", "0"]
    publish(asked, 1, customer="nobody")
    with running(folder, "--drain", "--workers", "2") as run:
        assert run.end()[0] == FOUND


def test_max_time_ends_several_workers_too(asked: Asked, folder: Path) -> None:
    publish(asked, 1)
    with running(folder, "--max-time", "3", "--workers", "2") as run:
        code, out = run.end()
    assert code == DONE
    assert out.startswith("QUEUE")


@pytest.mark.parametrize("more", [[], ["--drain"]])
def test_max_time_exits_with_3_if_no_worker_could_receive(asked: Asked, folder: Path, more: list[str]) -> None:
    assert asked
    nowhere = ["--url", "sqlite:///new.db", "--provision", "assume"]
    # Long enough for both to have begun, on a machine that is busy.
    with running(folder, "--max-time", "8", "--workers", "2", *nowhere, *more) as run:
        assert run.end()[0] == FAILED
    assert "shop-billing: polls fail: " in "".join(run.said)


def test_max_time_exits_with_3_if_no_worker_could_start(asked: Asked, folder: Path) -> None:
    assert asked
    (folder / "other.db").write_text("Dear diary, " * 100)
    with running(folder, "--max-time", "3", "--workers", "2", "--url", "sqlite:///other.db") as run:
        assert run.end()[0] == FAILED


def replaced(folder: Path, *recycling: str, at_least: int) -> str:
    """Run with recycling until so many workers have been there; gives its log."""
    with running(folder, "--group", "billing", "--workers", "2", *recycling) as run:
        for _ in range(at_least):
            run.wait_for("is process")
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    return "".join(run.said)


def test_workers_are_recycled_when_they_have_lived_so_long(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 50)
    said = replaced(folder, "--recycle-s", "1.5", at_least=4)
    assert re.search(r"worker \d after \d+ s: replacing it", said)
    assert Counter(order for order, _ in log(folder, "done")) == Counter(orders)


def test_workers_are_recycled_when_they_have_grown_so_large(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 50)
    # Python with the program in it takes more than ten and less than a thousand MiB.
    said = replaced(folder, "--recycle-rss-mb", "10", at_least=4)
    assert re.search(r"worker \d after \d+ MiB: replacing it", said)
    assert Counter(order for order, _ in log(folder, "done")) == Counter(orders)


def test_workers_that_stay_young_and_small_are_left_alone(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 100, customer="slow")
    options = ("--workers", "2", "--recycle-s", "3600", "--recycle-rss-mb", "4000")
    with running(folder, "--group", "billing", *options) as run:
        until(lambda: {order for order, _ in log(folder, "done")} == set(orders))
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    assert "replacing it" not in "".join(run.said)
    assert "".join(run.said).count("is process") == 2


def test_workers_are_recycled_one_at_a_time(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 500, customer="slow")
    options = ("--workers", "2", "--concurrency", "2", "--recycle-messages", "20")
    with running(folder, "--group", "billing", *options) as run:
        until(lambda: {order for order, _ in log(folder, "done")} == set(orders))
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    assert Counter(order for order, _ in log(folder, "done")) == Counter(orders)
    assert len({pid for _, pid in log(folder, "done")}) >= 3
    events = [line for line in "".join(run.said).splitlines() if "replacing it" in line or "is process" in line][2:]
    # Between two that are told to go, one has come.
    assert all("replacing it" in line for line in events[::2])
    assert all("is process" in line for line in events[1::2])
    assert "messages: replacing it" in events[0]


def test_isolated_each_process_takes_one_message(asked: Asked, folder: Path) -> None:
    orders = publish(asked, 6)
    with running(folder, "--isolate", "--drain", "--workers", "2", "--group", "billing") as run:
        code, _ = run.end()
    assert code == DONE
    done = log(folder, "done")
    assert sorted(order for order, _ in done) == orders
    assert len({pid for _, pid in done}) == 6


def test_isolated_workers_are_replaced_until_told_to_stop(asked: Asked, folder: Path) -> None:
    with running(folder, "--isolate", "--group", "billing") as run:
        for count in (1, 2):
            publish(asked, 1)
            until(partial(are_done, folder, count))
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    assert len({pid for _, pid in log(folder, "done")}) == 2


def test_a_change_of_the_program_reloads_it_also_after_it_was_broken(asked: Asked, folder: Path) -> None:
    # That a broken program does not become ready is nothing to wait for: however long, the repair would be missed.
    patient = "from busframe.cli import supervisor; supervisor.GRACE_S = 3600; "
    with running(folder, "--reload", "--group", "billing", before=patient) as run:
        publish(asked, 1)
        until(lambda: log(folder, "done"))
        (folder / "shop_app.py").write_text("this is no program")
        run.wait_for("waiting for a change")
        (folder / "shop_app.py").write_text(APP.replace("done {", "finished {"))
        publish(asked, 1)
        until(lambda: log(folder, "finished"))
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE


def test_the_status_file_tells_of_all_workers(asked: Asked, folder: Path) -> None:
    with running(folder, "--workers", "2", "--status", "status") as run:

        def is_well() -> bool:
            code, out, _ = asked("ps", "status")
            return bool(code == DONE and out.count("running") >= 2)

        until(is_well)
        code, _ = run.end(signal.SIGTERM)
    assert code == DONE
    assert not (folder / "status").exists()


def page(url: str, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"{url}{path}", timeout=PATIENCE_S) as answer:  # noqa: S310 - an address of our own
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def billed(url: str) -> float:
    """How many messages of the billing queue the metrics say were handled, by all processes there were."""
    lines = page(url, "/metrics")[1].splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith('busframe_messages_handled_total{queue="shop-billing"')
    )


def each_worker(url: str, metric: str) -> list[float]:
    lines = page(url, "/metrics")[1].splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"busframe_worker_{metric}{{")]


def test_metrics_and_health_are_of_all_workers_and_go_on_when_one_is_killed(asked: Asked, folder: Path) -> None:
    publish(asked, 40, customer="slow")
    with running(folder, "--group", "billing", "--workers", "2", "--metrics", "0") as run:
        url = "http" + run.wait_for("metrics and health").rpartition("http")[2].partition("/metrics")[0]
        victim = worker_pid(run.wait_for("is process"))
        until(lambda: billed(url) == 40)
        until(lambda: page(url, "/health/ready")[0] == 200)
        os.kill(victim, signal.SIGKILL)
        run.wait_for("died")
        # Nothing that was counted is forgotten, and the new worker's work is added to it.
        assert billed(url) == 40
        assert page(url, "/health/live")[0] == 200
        until(lambda: page(url, "/health/ready")[0] == 200)
        publish(asked, 10)
        until(lambda: billed(url) == 50)
        until(lambda: each_worker(url, "up") == [1, 1])
        assert sum(each_worker(url, "restarts_total")) == 1
        assert 'busframe_queue_messages_visible{queue="shop-billing"} 0' in page(url, "/metrics")[1]
        assert [worker["state"] for worker in json.loads(page(url, "/health")[1])["workers"]] == ["running"] * 2
        assert run.end(signal.SIGTERM)[0] == DONE
