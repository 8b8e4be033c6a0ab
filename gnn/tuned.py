"""The settings that a search found: put into a model, kept in a run's folder, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from gnn.locks import locked
from gnn.model import Model
from loaders.errors import InputError

FILE = "tuned.json"
NETWORKS = "networks.json"
FACTS = (
    *("shop", "leave_out", "repeat", "users_share", "min_buyers"),
    *("split", "validation_from", "test_from", "parts"),
)
"""What has to be the same where settings were found and where they are used."""

SHIPPED = Path(__file__).parent.parent / "tuned"
"""Settings that a search found for the shops that come with the program."""

Setting = float | int | str
Settings = dict[str, Setting]
"""Setting → value; ``group.name`` is the setting ``name`` of the model's setting ``group``."""

AnyModel = TypeVar("AnyModel", bound=Model)
Frozen = TypeVar("Frozen")


@dataclass(frozen=True)
class Tuned:
    """The best settings of a search, and what it took to find them."""

    model: Model
    """With the best settings."""

    settings: Settings
    """The best values of what the model's ``space`` names."""

    score: float
    """Of the best settings."""

    default: float | None
    """Score of the model's own settings; None where it could not be fitted with them."""

    trials: int
    """Settings tried, also by earlier and other processes."""

    refused: int
    """Those of them that the model could not be fitted with."""

    seconds: float
    """Spent on all trials together."""


def with_settings(settings: Frozen, values: Mapping[str, Setting]) -> Frozen:
    """Return a copy of a frozen dataclass with these values; ``group.name`` reaches into one inside it, or a dict."""
    if isinstance(settings, dict):
        return cast(Frozen, {**settings, **values})
    if not is_dataclass(settings) or isinstance(settings, type):
        raise TypeError(f"{settings!r} is no dataclass, so it has no settings")
    names = [each.name for each in fields(settings)]
    changed: dict[str, Any] = {}
    inside: dict[str, Settings] = {}
    for name, value in values.items():
        group, dot, rest = name.partition(".")
        if group not in names:
            raise InputError(f"{type(settings).__name__} has no setting {group!r}; it has {', '.join(names)}")
        if dot:
            inside.setdefault(group, {})[rest] = value
        else:
            changed[group] = value
    changed |= {group: with_settings(getattr(settings, group), part) for group, part in inside.items()}
    return replace(settings, **changed)


def setting_of(settings: object, name: str) -> Any:
    """Return the value of a setting; ``group.name`` reaches into a dataclass or dict inside."""
    for part in name.split("."):
        settings = settings[part] if isinstance(settings, dict) else getattr(settings, part)
    return settings


def apply_tuned(models: Iterable[AnyModel], tuned: Mapping[str, Settings]) -> tuple[AnyModel, ...]:
    """Return the models with what was found for them by name; one that nothing was found for stays as it is."""
    return tuple(with_settings(model, tuned.get(model.name, {})) for model in models)


def save_tuned(folder: Path, name: str, found: Tuned, *, facts: Mapping[str, object]) -> None:
    """Write what was found for the model ``name`` to the folder's ``tuned.json``, beside that of other models.

    ``facts`` say what it was found on. The file is whole at every moment, also where several processes write to it.
    """
    entry = {
        "settings": found.settings,
        "score": found.score,
        "default": found.default,
        "trials": found.trials,
        "refused": found.refused,
        "seconds": round(found.seconds, 1),
        **facts,
    }
    file = folder / FILE
    beside = folder / f".{FILE}.part"
    with (folder / f".{FILE}.lock").open("a+b") as locks, locked(locks, 0):
        entries = _read(file) if file.exists() else {}
        beside.write_text(json.dumps(entries | {name: entry}, indent=2) + "\n", encoding="utf-8")
        beside.replace(file)


def load_tuned(folder: Path) -> dict[str, Settings]:
    """Return the settings in the folder's ``tuned.json``, by the name of the model they were found for."""
    return {name: entry["settings"] for name, entry in _read(folder / FILE).items()}


def fitting_tuned(places: Iterable[Path], model: str, *, facts: Mapping[str, object]) -> Path | None:
    """Return the folder of the youngest settings of ``model`` in the first place that has some; None without.

    They must have been found on the same shop and the same split, so that none are chosen by what is to be measured.
    What cannot be read, or is not finished, is passed over.
    """
    for place in places:
        found = [folder for folder in sorted(place.glob("[!.]*/")) if fits(folder, model, facts=facts)]
        if found:
            return max(found, key=lambda folder: (folder / FILE).stat().st_mtime)
    return None


def fits(folder: Path, model: str, *, facts: Mapping[str, object]) -> bool:
    """Return whether the folder holds settings of ``model`` that were found on these facts."""
    try:
        entry = _read(folder / FILE).get(model, {})
    except InputError:
        return False
    # Where no times are known, the seed draws the parts.
    names = FACTS if facts["split"] == "by time" else (*FACTS, "seed")
    return bool(entry) and all(name in entry and entry[name] == facts[name] for name in names)


def as_plain(model: Model) -> dict[str, Any]:
    """Return a model's settings as JSON has them."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(model)))  # type: ignore[call-overload]
    return settings


@dataclass(frozen=True)
class NetworksFound:
    """What was found of a model's networks on the validation part of a shop."""

    helps: bool
    why: str
    settings: Settings
    """The best settings of those that were tried for the networks."""


def save_networks(folder: Path, whole: Model, found: NetworksFound) -> None:
    """Write down what was found of the networks of ``whole``, as it was given, on the shop that the folder is of."""
    page = {**asdict(found), "model": as_plain(whole)}
    (folder / NETWORKS).write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")


def load_networks(folder: Path, whole: Model) -> NetworksFound | None:
    """Return what was found of the networks of ``whole``; None where nobody looked at it with these settings."""
    file = folder / NETWORKS
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["model"] != as_plain(whole):
            print(f"what {str(file)!r} says of the networks is of other settings, so they are looked at again")
            return None
        return NetworksFound(bool(values["helps"]), str(values["why"]), dict(values["settings"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(file)!r} does not say whether networks help ({error}); delete it") from error


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no {FILE} in {str(file.parent)!r}; make it by python -m gnn.tune") from error
    except ValueError as error:
        raise InputError(f"{str(file)!r} is no JSON ({error}); delete it and tune again") from error
    whole = isinstance(entries, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("settings"), dict) for entry in entries.values()
    )
    if not whole:
        raise InputError(f"{str(file)!r} does not hold settings by model; delete it and tune again")
    return dict(entries)
