"""Puts the reasons of a recommendation into sentences, each of which is true of the graph."""

from __future__ import annotations

from collections.abc import Mapping

from gnn.explain_group import GroupAnswer
from gnn.why import Answer, Reason, Why
from gnn.why_not import WhyNot
from kg.graph import RunRecord
from kg.popular import group_text
from kg.text_table import date_text, one_line, product_text, time_text

SECONDS_PER_DAY = 86_400
TIMES = ("never", "once", "twice", "three times", "four times", "five times", "six times", "seven times")
WHAT_IT_NEEDS = (
    "a run ranks no product that too few had bought before the end of what it learned from (--min-buyers), nor one "
    "that the shop has withdrawn"
)


def times_text(times: int) -> str:
    """Return ``once``, ``twice`` and so on."""
    return TIMES[times] if times < len(TIMES) else f"{times} times"


def last_text(purchases: int, at: int, *, now: int) -> str:
    """Return when she last bought it and how long before the run's moment that was (both in seconds, UTC)."""
    if not at:
        return ""
    days = (now - at) // SECONDS_PER_DAY
    ago = "less than a day" if not days else _count(days, "day")
    return f", {'last ' if purchases > 1 else ''}on {date_text(at)} ({ago} before the run's moment)"


def reason_text(reason: Reason, why: Why, *, now: int) -> str:
    """Return what a purchase adds to the score and why, the latter as far as the graph says so."""
    bought = "the product itself" if reason.because == why.product else product_text(reason.because, reason.name)
    share = f" ({100 * reason.contribution / why.score:.1f} %)" if why.score > 0 else ""
    last = last_text(reason.purchases, reason.last_at, now=now)
    because = f"because she bought {bought} {times_text(reason.purchases)}{last}"
    return f"adds {reason.contribution:.4f}{share}: {'; '.join([because, *alike_texts(reason)])}"


def alike_texts(reason: Reason) -> list[str]:
    """Return what the graph says that joins the two products, besides the score."""
    texts = []
    if reason.brands:
        texts.append(f"it has the same brand, {_listed(reason.brands)}")
    if reason.categories:
        texts.append(f"it is in the same category, {_listed(reason.categories[:1])}")
    if reason.people:
        texts.append(f"{reason.people} other {'person' if reason.people == 1 else 'people'} bought both")
    return texts


def parts_text(parts: Mapping[str, float], score: float) -> str:
    """Return the share of each part in percent; as plain sums where they cancel out and no percentage says anything."""
    if score <= 0:
        return ", ".join(f"{part} {value:.4f}" for part, value in parts.items())
    return ", ".join(f"{part} {100 * value / score:.1f} %" for part, value in parts.items())


def why_texts(why: Why, answer: Answer) -> list[str]:
    """Return what has to be said of one product beside its reasons, each a sentence."""
    texts = [*_standing(why, answer)]
    if not why.leads_to_it:
        texts.append(f"No RELATED edge of the run leads to it, so no purchase can speak for it: {WHAT_IT_NEEDS}.")
    elif not why.parts:
        texts.append("None of her purchases leads to it.")
    if why.more:
        adds = "adds" if why.more == 1 else "add"
        texts.append(f"{_count(why.more, 'more purchased product')} {adds} {why.more_adds:.4f} together.")
    if why.against:
        takes = "takes" if why.against == 1 else "take"
        texts.append(f"{_count(why.against, 'purchased product')} {takes} {-why.against_takes:.4f} from the score.")
    if why.with_newer is not None:
        texts.append(f"With her newer purchases, and as of the last of them, the score is {why.with_newer:.6g}.")
    return texts


def answer_texts(answer: Answer) -> list[str]:
    """Return what has to be said of the user and the run, each a sentence."""
    run = answer.run
    texts = []
    if answer.since_ranking:
        came = _count(answer.since_ranking, "purchase")
        texts.append(f"{came} of hers came after the run's last ranking and {_counts(answer.since_ranking)}.")
    if answer.newer:
        texts.append(
            f"{_count(answer.newer, 'purchase')} of hers {'is' if answer.newer == 1 else 'are'} newer than that and "
            f"not in the score; --now MOMENT counts them here, and python -m gnn.export --run {one_line(run.name)} "
            "ranks with all."
        )
    if answer.unlearned:
        texts.append(
            f"{_count(answer.unlearned, 'purchase')} of hers, of the {answer.purchases} that count in the score, came "
            "after all that the run learned from."
        )
    if not answer.purchases:
        texts.append("She bought nothing before that moment, so nothing of hers can speak for a product.")
    elif answer.group:
        texts.append(f"Her {_count(answer.purchases, 'purchase')} lead to no product that she has not bought.")
    if answer.group and not answer.popular:
        texts.append("Nobody bought another product that the run ranks before that moment.")
    elif answer.group:
        whose = group_text(answer.group)
        texts.append(f"In the place of reasons of her own: what was bought before that moment by most of {whose}.")
    return texts


def why_not_texts(found: WhyNot) -> list[str]:
    """Return why a product is not among the first k, each a sentence."""
    called = product_text(found.product, found.name)
    score = f"its score for her is {found.score:.6g}"
    if found.left_out == "she bought it":
        bought = f"She bought it {times_text(found.times_bought)}, and the run ranks only what a user has not bought"
        return [f"{called} is left out. {bought}; {score}.", *_compared_texts(found)]
    if found.left_out == "it is not ranked":
        buyers = f"It had {_count(found.buyers, 'buyer')} before the end of what the run learned from"
        return [f"{called} is not ranked: no RELATED edge of the run leads to it. {buyers}; {WHAT_IT_NEEDS}."]
    if found.left_out:
        return [f"{called} is in no place of her list: none of her purchases leads to it.", *_compared_texts(found)]
    place = f"{called} is in place {found.rank} of {found.ranked}; {score}."
    if found.rank is not None and found.rank <= found.k:
        return [place, f"So it is among her first {found.k}."]
    return [place, *_compared_texts(found)]


def group_texts(found: GroupAnswer) -> list[str]:
    """Return why a product for a group, each a sentence."""
    rank = f", in place {found.mean_rank:.1f} on average" if found.mean_rank is not None else ""
    texts = [
        f"The last export of run {one_line(found.run.name)} gives it to {found.given} of {found.users} users{rank}.",
        f"Purchases of {found.reached} of them lead to it; {found.bought} bought it themselves.",
        f"Its mean score is {found.mean_score:.6g}, with 0 for those whom nothing leads to it.",
    ]
    return texts if found.carriers else [*texts, "No purchase of the group adds anything to it."]


def moment_text(run: RunRecord, *, ranked_at: int) -> str:
    """Return which purchases count in a sentence: those before ``run.now``, which may be another than the ranking's."""
    # A time that nobody knows is 0.
    if ranked_at <= 1:
        return "All purchases count, nobody knows their times."
    if run.now == ranked_at:
        return f"Purchases before {time_text(run.now)} count, the moment of the run's last ranking."
    return (
        f"Purchases before {time_text(run.now)} count: that is the run's moment here, in the place of its last "
        f"ranking's, {time_text(ranked_at)}."
    )


def _standing(why: Why, answer: Answer) -> list[str]:
    """Return where the product stands in her list and in what was exported."""
    if why.times_bought and not answer.run.repeat:
        return [
            f"It was never ranked for her: she bought it herself ({times_text(why.times_bought)}), and the run ranks "
            "only what a user has not bought."
        ]
    if why.rank is None and why.exported_rank is not None:
        return [
            f"It is not in her list by the graph as it is; the last export gave it to her in place {why.exported_rank}."
        ]
    if why.rank is None:
        return ["It was never ranked for her."]
    if why.exported_rank is None:
        return [
            f"It is in place {why.rank} of her list by the graph as it is, and not among the {answer.exported} "
            "products that the last export gave her."
        ]
    moved = "" if why.rank == why.exported_rank else f" (place {why.exported_rank} in the last export)"
    return [f"It is in place {why.rank} of her list{moved}."]


def _compared_texts(found: WhyNot) -> list[str]:
    if found.at_k is None:
        return ["Her list is empty."]
    there = product_text(found.at_k.product, found.at_k.name)
    short = f", the last of her list of {found.ranked}" if found.at_k.rank < found.k else ""
    texts = [f"In place {found.at_k.rank}{short} is {there} with {found.at_k.score:.6g}."]
    if found.missing <= 0:
        return [*texts, f"The score of the product asked about is {-found.missing:.6g} higher."]
    lacking = _count(found.num_only_there, "purchased product")
    more = "more" if found.both >= 0 else "less"
    return [
        *texts,
        f"It lacks {found.missing:.6g} to draw level: {lacking} of hers lead only to {there} and add "
        f"{found.only_there:.6g}; those that lead to both add {abs(found.both):.6g} {more} there; those that lead only "
        f"to the product asked about add {found.only_here:.6g}.",
    ]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(one_line, names))


def _counts(number: int) -> str:
    return "counts" if number == 1 else "count"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
