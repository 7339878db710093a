"""The duties of the upkeep, in the order in which they look."""

from __future__ import annotations

from typing import Any

from courtkeeper.postgres.upkeep.duties.indexes import InvalidIndexes
from courtkeeper.postgres.upkeep.duties.tables import Freeze, Statistics, Vacuum
from courtkeeper.postgres.upkeep.duty import Duty

DUTIES: tuple[type[Duty[Any]], ...] = (Freeze, InvalidIndexes, Vacuum, Statistics)
