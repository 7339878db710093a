"""Where backups go: one small protocol, a directory and an object store behind it."""

from __future__ import annotations

from courtkeeper.vault.destinations.base import (
    Destination,
    DestinationError,
    MissingError,
    Stored,
    Upload,
)
from courtkeeper.vault.destinations.directory import DirectoryDestination
from courtkeeper.vault.settings import DestinationSettings, DirectorySettings


def destination(settings: DestinationSettings) -> Destination:
    """Return the destination of one entry of the settings. Nothing is asked of it yet.

    Raises ConfigurationError where what it needs is not installed.
    """
    if isinstance(settings, DirectorySettings):
        return DirectoryDestination(settings)
    from courtkeeper.vault.destinations.s3 import S3Destination  # boto3 is an extra

    return S3Destination(settings)


__all__ = ["Destination", "DestinationError", "MissingError", "Stored", "Upload", "destination"]
