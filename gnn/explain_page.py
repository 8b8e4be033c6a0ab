"""Lays out the answers to why, why not and why a group: for a terminal, as Markdown, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from gnn.explain_group import GroupAnswer
from gnn.inside_words import inside_texts
from gnn.reason_words import (
    answer_texts,
    group_texts,
    moment_text,
    parts_text,
    reason_text,
    why_not_texts,
    why_texts,
)
from gnn.why import Answer, Why
from gnn.why_not import WhyNot
from kg.text_table import one_line, product_text

Format = Literal["text", "json", "markdown"]
SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


@dataclass(frozen=True)
class Item:
    """A line of a list, and lines below it."""

    text: str
    below: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and items under it."""

    heading: str
    sentences: Sequence[str]
    items: Sequence[Item] = ()


def page(answer: Answer | GroupAnswer | WhyNot, kind: Format, *, ranked_at: int | None = None) -> str:
    """Return the answer in the form ``kind``; JSON has all its numbers, and the same sentences as ``words``.

    ``ranked_at`` is the moment (seconds, UTC) of the run's last ranking, where the answer's own is another.
    """
    first, *others = _sections(answer)
    counts = moment_text(answer.run, ranked_at=answer.run.now if ranked_at is None else ranked_at)
    sections = [replace(first, sentences=[counts, *first.sentences]), *others]
    if kind == "json":
        words = [sentence for section in sections for sentence in _words(section)]
        return json.dumps({**asdict(answer), "words": words}, indent=2, ensure_ascii=False, allow_nan=False)
    heading, item, below, plain = _LOOKS[kind]
    return "\n\n".join(
        "\n".join(
            [heading + plain(section.heading)]
            + [f"{'' if kind == 'text' else chr(10)}{plain(sentence)}" for sentence in section.sentences]
            + ([""] if kind == "markdown" and section.items else [])
            + [
                line
                for each in section.items
                for line in (item + plain(each.text), *(below + plain(text) for text in each.below))
            ]
        )
        for section in sections
    )


def _words(section: Section) -> list[str]:
    items = [text for item in section.items for text in (item.text, *item.below)]
    return [*section.sentences, *items]


def _as_it_is(text: str) -> str:
    return text


def _escaped(text: str) -> str:
    """Return ``text`` so that Markdown shows it letter for letter; names come from the shop."""
    return SPECIAL.sub(r"\\\1", text)


_LOOKS: dict[str, tuple[str, str, str, Callable[[str], str]]] = {
    "text": ("", "  - ", "      - ", _as_it_is),
    "markdown": ("## ", "- ", "  - ", _escaped),
}


def _sections(answer: Answer | GroupAnswer | WhyNot) -> list[Section]:
    if isinstance(answer, Answer):
        return _why_sections(answer)
    if isinstance(answer, WhyNot):
        return _why_not_sections(answer)
    return _group_sections(answer)


def _why_sections(answer: Answer) -> list[Section]:
    first = Section(f"User {one_line(answer.user)}, run {one_line(answer.run.name)}", answer_texts(answer))
    popular = [
        Section(
            "Most bought",
            [],
            [Item(f"{product_text(each.product, each.name)}: {each.buyers} buyers") for each in answer.popular],
        )
    ]
    return [first, *(_product_section(why, answer) for why in answer.products), *(popular if answer.popular else [])]


def _product_section(why: Why, answer: Answer) -> Section:
    shares = [f"Shares: {parts_text(why.parts, why.score)}."] if why.parts else []
    return Section(
        f"{product_text(why.product, why.name)}: score {why.score:.6g}",
        [*shares, *why_texts(why, answer)],
        [
            Item(
                reason_text(reason, why, now=answer.run.now),
                inside_texts(reason.inside) if reason.inside else (),
            )
            for reason in why.reasons
        ],
    )


def _why_not_sections(found: WhyNot) -> list[Section]:
    user, run = one_line(found.user), one_line(found.run.name)
    sections = [
        Section(f"Why not {product_text(found.product, found.name)} for user {user}, run {run}", why_not_texts(found))
    ]
    if found.above:
        above = [
            Item(f"place {each.rank}: {product_text(each.product, each.name)}, {each.score:.6g}")
            for each in found.above
        ]
        sections.append(Section("The first places above it", [], above))
    if found.missing <= 0 or found.at_k is None:
        return sections
    if found.lacks:
        there = product_text(found.at_k.product, found.at_k.name)
        lacks = [
            Item(
                f"{product_text(each.because, each.name)} adds {each.there:.4f} there and "
                + ("does not lead here" if each.here is None else f"{each.here:.4f} here")
            )
            for each in found.lacks
        ]
        sections.append(Section(f"What {there} has and it lacks, of her purchases", [], lacks))
    if found.wishes:
        wishes = [Item(f"{product_text(each.because, each.name)}: {each.adds:.4f}") for each in found.wishes]
        sections.append(Section("What one purchase of a product new to her would add, at the run's moment", [], wishes))
    return sections


def _group_sections(found: GroupAnswer) -> list[Section]:
    shares = [f"Shares of the mean score: {parts_text(found.parts, found.mean_score)}."] if found.parts else []
    first = Section(
        f"{product_text(found.product, found.name)} for {found.users} users", [*group_texts(found), *shares]
    )
    if not found.carriers:
        return [first]
    carriers = [
        Item(f"{product_text(each.because, each.name)}: {each.contribution:.4f} in all, bought by {each.users}")
        for each in found.carriers
    ]
    heading = f"The purchases that carry most, {len(carriers)} of {found.num_carriers}"
    return [first, Section(heading, [], carriers)]
