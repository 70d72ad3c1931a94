"""Writes orders.csv: 12,000 made-up orders, the same ones every time.

python examples/make_orders.py > examples/orders.csv
"""

from __future__ import annotations

import csv
import random  # noqa: TID251 - a seeded generator of its own, for made-up data
import sys

COUNT = 12_000
PRODUCTS = {"tea": 450, "coffee": 790, "kettle": 3490, "mug": 990, "filter": 350, "grinder": 5900, "gift card": 2500}
CUSTOMERS = [
    f"{first}-{last}" for first in ("ada", "grace", "edsger", "barbara", "alan", "radia") for last in range(50)
]


def main() -> None:
    """Write the file to standard output."""
    chance = random.Random(1906)  # noqa: S311 - not a secret
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["order", "customer", "product", "quantity", "price_cents"])
    everyday = [product for product in PRODUCTS if product != "gift card"]
    for number in range(1, COUNT + 1):
        product = "gift card" if number % 1000 == 0 else chance.choice(everyday)
        # One order nobody can bill: it asks for less than nothing.
        quantity = -1 if number == COUNT // 2 else chance.randint(1, 5)
        writer.writerow([f"o{number:05}", chance.choice(CUSTOMERS), product, quantity, PRODUCTS[product]])


if __name__ == "__main__":
    main()
