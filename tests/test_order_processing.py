"""The main job survives being killed at any moment."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded generator of its own
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "examples" / "order_processing.py"
COUNT = 1500


def write_orders(path: Path) -> None:
    lines = ["order,customer,product,quantity,price_cents"]
    for n in range(COUNT):
        product = "gift card" if n % 500 == 3 else "tea"
        lines.append(f"o{n},customer-{n % 40},{product},{-1 if n == 700 else 1},450")
    path.write_text("\n".join(lines) + "\n")


def start(orders: Path, state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(orders), "--state", str(state)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_undisturbed_run_counts_right(tmp_path: Path) -> None:
    write_orders(tmp_path / "orders.csv")
    with start(tmp_path / "orders.csv", tmp_path / "state") as program:
        output, errors = program.communicate(timeout=100)
    assert program.returncode == 0, errors
    assert "every order was billed and shipped" in output


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_in_the_middle_and_started_again_it_loses_no_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not a secret
    write_orders(tmp_path / "orders.csv")
    kills = 0
    for _ in range(3):
        with start(tmp_path / "orders.csv", tmp_path / "state") as program:
            assert program.stderr is not None
            for _ in range(chance.randint(1, 5)):
                program.stderr.readline()  # one more twentieth is handled
            kills += program.poll() is None
            program.kill()
    assert kills > 0
    with start(tmp_path / "orders.csv", tmp_path / "state") as program:
        output, errors = program.communicate(timeout=100)
    assert program.returncode == 0, errors
    assert "every order was billed and shipped" in output


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("order,customer\n1,2\n", "the column 'product' is missing"),
        ("order,customer,product,quantity,price_cents\n1,a,tea,many,3\n", "line 2: quantity"),
        ("order,customer,product,quantity,price_cents\n1,a,tea,1,3\n1,a,tea,1,3\n", "a name of its own"),
        ("order,customer,product,quantity,price_cents\n", "no orders"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_done(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "orders.csv").write_text(text)
    with start(tmp_path / "orders.csv", tmp_path / "state") as program:
        _, errors = program.communicate(timeout=30)
    assert program.returncode == 1
    assert complaint in errors
    assert not (tmp_path / "state").exists()
