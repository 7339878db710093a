"""Bloated indexes (ioguix's estimate, confirmed by pgstatindex)."""

from __future__ import annotations

from courtkeeper.postgres.bloat import Bloat, Swollen, bloat_limits


class IndexBloat(Bloat):
    """Looks for btree indexes that are mostly air."""

    title = "bloated indexes"
    limits = bloat_limits(10)

    def question(self, row: Swollen) -> str:
        """What the leaves would fill at the index's fillfactor, and the inner pages, are needed."""
        return f"""
            SELECT 100 * greatest(0, 1 - (s.internal_pages + 1 + s.leaf_pages
                       * least(1, coalesce(nullif(s.avg_leaf_density, 'NaN'), 0) / %(fillfactor)s))
                   / (s.index_size / current_setting('block_size')::float8)) AS waste
              FROM {row.tool_schema}.pgstatindex(%(oid)s::oid::regclass) s"""  # noqa: S608 # quoted by the server

    def mend(self, row: Swollen) -> str:
        """Build it again beside the old one."""
        return f"REINDEX INDEX CONCURRENTLY {row.name};"
