"""Retention of operational tables: rows past their time move to an archive table, or are deleted.

Small batches, each one transaction that counts what it copied before it deletes: whoever kills it at
any point and runs it again loses nothing and doubles nothing.
"""

from courtkeeper.postgres.retention.run import retention
from courtkeeper.postgres.retention.settings import RetentionSettings, TableRule, settings_from

__all__ = ["RetentionSettings", "TableRule", "retention", "settings_from"]
