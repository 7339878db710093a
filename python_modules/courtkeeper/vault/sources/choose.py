"""From settings to sources."""

from __future__ import annotations

from courtkeeper.vault.settings import FilesSource, Kind, PostgresSource, SourceSettings
from courtkeeper.vault.sources.base import Source


def source(settings: SourceSettings) -> Source:
    """Return the source of one entry of the settings. Nothing is asked of it yet."""
    if isinstance(settings, PostgresSource):
        from courtkeeper.vault.sources.postgres import PostgresServer

        return PostgresServer(settings)
    if isinstance(settings, FilesSource):
        from courtkeeper.vault.sources.files import Files

        return Files(settings)
    from courtkeeper.vault.sources.redis import RedisServer

    return RedisServer(settings)


def kind(settings: SourceSettings) -> Kind:
    """Return the word by which settings name the kind of a source."""
    if isinstance(settings, PostgresSource):
        return "postgres"
    return "files" if isinstance(settings, FilesSource) else "redis"
