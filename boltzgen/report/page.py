"""The report: one self-contained HTML page from plain content."""

import base64
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture with its caption.

    Args:
        image: PNG bytes, or the text of an SVG.
        caption: What is seen, with units; plain text.
        wide: Whether it takes the whole width of the page.
    """

    image: bytes | str
    caption: str
    wide: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.image, bytes) and not self.image.startswith(_PNG):
            raise ValueError("image: expected PNG bytes or the text of an SVG, got other bytes")
        if isinstance(self.image, str) and "<svg" not in self.image:
            raise ValueError("image: expected PNG bytes or the text of an SVG, got other text")

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        if isinstance(self.image, bytes):
            return "data:image/png;base64," + base64.b64encode(self.image).decode("ascii")
        text = base64.b64encode(self.image.encode()).decode("ascii")
        return "data:image/svg+xml;base64," + text


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text; numbers come formatted.

    Args:
        header: Names of the columns, with units.
        rows: Rows of as many cells.
        caption: What is listed.
        folded: Whether only the caption is seen until the reader opens it; needs one.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    folded: bool = False

    def __post_init__(self) -> None:
        if self.folded and not self.caption:
            raise ValueError("caption: expected one for a folded table, got none")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise ValueError(
                    f"rows[{number}]: expected {len(self.header)} cells, got {len(row)}"
                )


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report.

    Args:
        title: Its heading.
        text: One paragraph.
        figures: Pictures, two side by side unless wide.
        tables: Tables, below the pictures.
    """

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything the page says.

    Args:
        title: The heading.
        subtitle: System, temperatures, seed, in one line.
        verdict: One paragraph in plain words.
        warnings: What must not be trusted, one sentence each; empty if all is well.
        sections: Parts in order.
        ledger: Energy calls and wall time by stage.
        command: The command line that made the run.
        versions: Versions by name of the software.
    """

    title: str
    subtitle: str
    verdict: str
    warnings: Sequence[str]
    sections: Sequence[Section]
    ledger: Table
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)


def render_report(content: ReportContent) -> str:
    """Render the page.

    Args:
        content: What it says; all text is escaped.

    Returns:
        HTML that needs nothing from outside.
    """
    environment = Environment(
        loader=PackageLoader("boltzgen.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(content=content)


def write_report(path: Path | str, content: ReportContent) -> None:
    """Render the page and write it whole or not at all.

    Args:
        path: The file to create or replace.
        content: What it says.

    Raises:
        OSError: The file could not be written; the previous one is intact.
    """
    path = Path(path)
    text = render_report(content)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
