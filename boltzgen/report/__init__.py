"""The report of a run: one self-contained HTML page."""

from boltzgen.report.page import (
    Figure,
    ReportContent,
    Section,
    Table,
    render_report,
    write_report,
)

__all__ = ["Figure", "ReportContent", "Section", "Table", "render_report", "write_report"]
