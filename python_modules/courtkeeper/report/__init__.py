"""What people look at: one self-contained HTML page per run.

`render` turns a run's record into the page, `write_report` puts it beside the record. The
page loads nothing from anywhere, needs no script to be read, and is the same bytes for the
same record.
"""

from courtkeeper.report.page import render, write_report

__all__ = ["render", "write_report"]
