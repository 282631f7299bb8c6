import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from boltzgen.report import Figure, ReportContent, Section, Table, render_report, write_report

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
SVG = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'


def load_synthetic():
    path = Path(__file__).with_name("synthetic.py")
    spec = importlib.util.spec_from_file_location("synthetic_report", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.synthetic_report()


def small(**changes):
    content = {
        "title": "A <run> & more",
        "subtitle": "ala2/vacuum",
        "verdict": "Fine.",
        "warnings": [],
        "sections": [
            Section(
                title="One",
                figures=[
                    Figure(image=PNG, caption='a "quoted" <b>'),
                    Figure(image=SVG, caption="b"),
                ],
            )
        ],
        "ledger": Table(header=["stage", "calls"], rows=[["data", "1"]]),
        "command": "train --T 300:600 > log",
    }
    return ReportContent(**{**content, **changes})


class Checker(HTMLParser):
    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_whole_report_is_one_well_formed_page_without_outside_resources(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, load_synthetic())
    text = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.links) == 12
    assert all(link.startswith("data:image/png;base64,") for link in checker.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "<script" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_text_is_escaped():
    text = render_report(small())
    assert "A &lt;run&gt; &amp; more" in text
    assert "a &#34;quoted&#34; &lt;b&gt;" in text
    assert "data:image/svg+xml;base64," in text


def test_verdict_says_whether_there_are_warnings():
    assert "No warnings: every check passed." in render_report(small())
    text = render_report(small(warnings=["k-hat is 0.74 at 300 K"]))
    assert "No warnings" not in text
    assert "<li>k-hat is 0.74 at 300 K</li>" in text


def test_folded_table_shows_its_caption_once_and_opens():
    table = Table(header=["T"], rows=[["300"]], caption="Numbers: T", folded=True)
    text = render_report(small(sections=[Section(title="One", tables=[table])]))
    assert "<details><summary>Numbers: T</summary>" in text
    assert text.count("Numbers: T") == 1
    assert text.count("<details>") == text.count("</details>") == 1
    checker = Checker()
    checker.feed(text)
    assert checker.open == []


def test_bad_content_is_refused():
    with pytest.raises(ValueError, match="caption: expected one for a folded table"):
        Table(header=["a"], rows=[], folded=True)
    with pytest.raises(ValueError, match=r"rows\[0\]: expected 2 cells, got 1"):
        Table(header=["a", "b"], rows=[["1"]])
    with pytest.raises(ValueError, match="image: expected PNG bytes"):
        Figure(image=b"GIF", caption="")
    with pytest.raises(ValueError, match="image: expected PNG bytes"):
        Figure(image="picture.png", caption="")


def test_unwritable_path_is_named(tmp_path):
    with pytest.raises(OSError, match="cannot write .*missing/report.html"):
        write_report(tmp_path / "missing" / "report.html", small())
