"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# No test fails by time: on a machine that is busy an example may take a second.
settings.register_profile("courtkeeper", deadline=None)
settings.load_profile("courtkeeper")
