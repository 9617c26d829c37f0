"""What a device costs by the hour, from a suite's table [prices], and what that makes of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError

KINDS = ("cpu", "cuda")


@dataclass(frozen=True)
class Prices:
    """Of an hour of one CPU or one GPU, in any one currency.

    by_device: a row's `device` text, or "cpu" or "cuda" for all of that kind, with its price.
    """

    by_device: tuple[tuple[str, float], ...] = ()

    def of(self, row: Mapping[str, Any], devices: float) -> float | None:
        """What a trial's prepare, adapt and evaluate cost on its share of `devices` for each of its processes.

        None without an entry for its device, or where its times were not measured.
        """
        device, table = str(row.get("device") or ""), dict(self.by_device)
        price = table.get(device, table.get(device.partition(":")[0]))
        if price is None or row.get("adapt_seconds") is None:
            return None
        seconds = sum(row.get(f"{part}_seconds") or 0.0 for part in ("prepare", "adapt", "evaluate"))
        return float(seconds / 3600 * devices * (row.get("world_size") or 1) * price)


def parse_prices(table: object, where: str) -> Prices:
    """The prices of a suite's table. Raises: UserError for what is no price, and for a kind of device nobody has."""
    if not isinstance(table, dict):
        raise UserError(f"{where}: prices = {table!r}; expected a table [prices]")
    for device, price in table.items():
        if device not in KINDS and device.lower() in (*KINDS, "gpu"):
            meant = "cpu" if device.lower() == "cpu" else "cuda"
            raise UserError(f"{where}: [prices]: unknown device {device!r}; did you mean {meant!r}?")
        if type(price) not in (int, float) or not math.isfinite(price) or price < 0:
            raise UserError(
                f"{where}: [prices]: {device} = {price!r}; expected the price of one hour, a number of at least 0"
            )
    return Prices(tuple(sorted((device, float(price)) for device, price in table.items())))
