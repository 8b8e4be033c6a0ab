"""Writes a page of sections with tables and bars, as text for a terminal, as JSON, or as HTML without scripts."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from kg.text_table import one_line, text_table

Format = Literal["text", "json", "html"]
Value = str | float | int | None

BAR_WIDTH, BAR_HEIGHT = 160, 12
NOTHING = "-"

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}th,td{text-align:left;padding:.15em .8em .15em 0}"
    "th{border-bottom:1px solid #999}td.number{text-align:right}p.note{color:#666;font-size:.9em;margin:.2em 0}"
)


@dataclass(frozen=True)
class Section:
    """A table with a title, and where its numbers come from."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]

    note: str
    """The evidence: what the numbers are made of."""

    bar: int | None = None
    """Column whose numbers are drawn as bars, the largest being the longest."""


@dataclass(frozen=True)
class Page:
    """What is said of one user or of one segment."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """What a reader has to know of what is there and what is not, each a sentence."""


def written(page: Page, kind: Format) -> str:
    """Return the page in the format that was asked for."""
    return {"text": page_text, "json": page_json, "html": page_html}[kind](page)


def page_text(page: Page) -> str:
    """Return the page for a terminal."""
    parts = ["\n".join(one_line(sentence) for sentence in (page.lead, *page.notes))]
    for section in page.sections:
        rows = [[NOTHING if value is None else value for value in row] for row in section.rows]
        parts.append("\n".join([f"{section.title}: {section.note}", text_table(section.header, rows)]))
    return "\n\n".join(parts)


def page_json(page: Page) -> str:
    """Return the page for programs: every section a list of rows by name."""
    sections = [
        {
            "title": each.title,
            "note": each.note,
            "rows": [dict(zip(each.header, row, strict=True)) for row in each.rows],
        }
        for each in page.sections
    ]
    return json.dumps({**asdict(page), "sections": sections}, indent=2, ensure_ascii=False)


def page_html(page: Page) -> str:
    """Return the page as one file: every value escaped, bars as inline SVG, no script and nothing to fetch."""
    body = "\n".join(_section_html(section) for section in page.sections)
    title = html.escape(page.title)
    said = "\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in (page.lead, *page.notes))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{said}\n{body}\n"
        "</body>\n</html>"
    )


def _section_html(section: Section) -> str:
    bars = section.bar is not None and len(section.rows) > 0
    header = "".join(f"<th>{html.escape(name)}</th>" for name in section.header) + ("<th></th>" if bars else "")
    longest = max((_number(row[section.bar]) for row in section.rows), default=0.0) if section.bar is not None else 0.0
    lines = []
    for row in section.rows:
        cells = "".join(_cell_html(value) for value in row)
        bar = (
            f"<td>{_bar(_number(row[section.bar]) / longest if longest else 0.0)}</td>"
            if section.bar is not None
            else ""
        )
        lines.append(f"<tr>{cells}{bar}</tr>")
    return (
        f'<h2>{html.escape(section.title)}</h2>\n<p class="note">{html.escape(section.note)}</p>\n'
        f"<table>\n<tr>{header}</tr>\n" + "\n".join(lines) + "\n</table>"
    )


def _bar(share: float) -> str:
    width = round(BAR_WIDTH * min(max(share, 0.0), 1.0), 1)
    return (
        f'<svg width="{BAR_WIDTH}" height="{BAR_HEIGHT}" role="img"><rect width="{width}" height="{BAR_HEIGHT}" '
        'fill="#4477aa"/></svg>'
    )


def _cell_html(value: Value) -> str:
    if isinstance(value, str) or value is None:
        return f"<td>{html.escape(NOTHING if value is None else value)}</td>"
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return f'<td class="number">{text}</td>'


def _number(value: Value) -> float:
    return 0.0 if value is None or isinstance(value, str) else float(value)
