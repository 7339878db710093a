"""The duties of the upkeep, in the order in which they look."""

from __future__ import annotations

from typing import Any

from courtkeeper.postgres.upkeep.duties.advice import Sequences
from courtkeeper.postgres.upkeep.duties.bloat import BloatedIndexes, BloatedTables
from courtkeeper.postgres.upkeep.duties.chosen_indexes import (
    DuplicateIndexes,
    ForeignKeyIndexes,
    OverlappingIndexes,
)
from courtkeeper.postgres.upkeep.duties.collations import Collations
from courtkeeper.postgres.upkeep.duties.constraints import Constraints
from courtkeeper.postgres.upkeep.duties.extensions import Extensions
from courtkeeper.postgres.upkeep.duties.indexes import InvalidIndexes
from courtkeeper.postgres.upkeep.duties.tables import Freeze, Multixacts, Statistics, Vacuum
from courtkeeper.postgres.upkeep.duty import Duty

DUTIES: tuple[type[Duty[Any]], ...] = (
    Freeze,
    Multixacts,
    InvalidIndexes,
    Collations,
    Vacuum,
    Statistics,
    Constraints,
    Extensions,
    ForeignKeyIndexes,
    DuplicateIndexes,
    OverlappingIndexes,
    Sequences,
    BloatedIndexes,
    BloatedTables,
)
