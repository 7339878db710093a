"""Bloated tables (ioguix's estimate, confirmed by pgstattuple_approx)."""

from __future__ import annotations

from courtkeeper.postgres.bloat import Bloat, Swollen, bloat_limits


class TableBloat(Bloat):
    """Looks for tables that are mostly dead rows and free space."""

    title = "bloated tables"
    limits = bloat_limits(100)

    def question(self, row: Swollen) -> str:
        """Dead rows, and free space beyond what the fillfactor asks for; reads what is not all-visible."""
        return f"""
            SELECT greatest(0, s.dead_tuple_percent + s.approx_free_percent - (100 - %(fillfactor)s)) AS waste
              FROM {row.tool_schema}.pgstattuple_approx(%(oid)s::oid::regclass) s"""  # noqa: S608 # quoted by the server

    def mend(self, row: Swollen) -> str:
        """There is no way in the server itself that does not lock the table."""
        return (
            f"VACUUM (FULL, ANALYZE) {row.name}; -- holds everybody off the table meanwhile and takes its "
            "size again on disk; pg_repack does it online"
        )
