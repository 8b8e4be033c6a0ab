"""A run's folder: written beside its place, moved there when it is whole, and read back by later commands."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from gnn.calibration import Calibration
from gnn.candidates import Candidates
from gnn.checkpoint import EpochRecord
from gnn.config import (
    ClosedFormConfig,
    EdgeConfig,
    HistoryConfig,
    NetworkConfig,
    ProfileConfig,
    RelatedConfig,
    SplitConfig,
    TrainConfig,
)
from gnn.edge_file import FILE, EdgeFile, edge_file_content
from gnn.edges import FittedEdges, edge_network
from gnn.fit import FittedNetwork
from gnn.history import Weighing
from gnn.place import put_in_place, real_place
from gnn.probabilities import Probabilities
from gnn.reliability_figure import reliability_figure
from gnn.report import Report, as_markdown
from kg.graph import GraphTables, RunRecord
from kg.store import GraphStore
from loaders.errors import InputError

MODEL = "model.safetensors"
CALIBRATION = "calibration.json"
# What may differ between two runs that replace each other: places and limits of time, not what is learned.
PLACES = ("run", "runs", "raw", "store", "password_file", "cache", "device", "overwrite", "time_limit")


@dataclass(frozen=True)
class Manifest:
    """What was made of what: enough to read the run's results, and to refuse those of another."""

    run: str
    made_at: str
    """When training ended (ISO 8601, UTC); the run's edges in the store say the same."""

    commit: str | None
    """The commit of the program; None outside a git checkout."""

    versions: dict[str, str]
    seed: int
    store: str
    """Address of the store that holds the graph and the run's edges."""

    graph: str
    """Fingerprint of the graph that was learned from."""

    split: str
    """How the purchases were split."""

    learned_before: int
    """Purchases from this moment (seconds, UTC) on were not learned from."""

    repeat: bool
    """Whether products that a user has bought may be recommended to her again."""

    settings: dict[str, float]
    """What a search or a choice found, and what a person gave in its place: the settings the model was fitted with."""

    weighing: Weighing
    epochs: int
    """Passes over the users in the final training of the graph network."""

    def record(self, *, now: int) -> RunRecord:
        """Return what Cypher must know of this run to score as of ``now``."""
        return RunRecord(
            name=self.run,
            made_at=self.made_at,
            now=now,
            half_life=self.weighing.half_life,
            exponent=self.weighing.exponent,
            learned_before=self.learned_before,
            repeat=self.repeat,
        )

    def require_same_graph(self, store: GraphStore) -> GraphTables:
        """Return the graph in the store; raise if it is not the one that was learned from."""
        tables = store.read_graph()
        if tables.fingerprint() != self.graph:
            raise InputError(
                f"the graph in {self.store!r} has changed since the run {self.run!r} was made, so its test part is "
                "another; train again"
            )
        return tables

    def require_own_results(self, store: GraphStore) -> RunRecord:
        """Return the store's record of this run; raise if the edges there are gone or of another training."""
        record = store.run_record(self.run)
        if record is None or record.made_at != self.made_at:
            found = "none" if record is None else f"those made at {record.made_at}"
            raise InputError(
                f"the store {self.store!r} holds {found} of the RELATED edges that run {self.run!r} made at "
                f"{self.made_at}; train again"
            )
        return record


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @classmethod
    def open(cls, runs: str, name: str) -> RunFolder:
        """Return the folder of a finished run."""
        folder = cls(Path(runs) / name)
        if not (folder.path / "manifest.json").exists():
            known = sorted(file.parent.name for file in Path(runs).glob("*/manifest.json"))
            raise InputError(f"no run {name!r} in {runs!r}; there {'are ' + ', '.join(known) if known else 'is none'}")
        return folder

    def config(self) -> TrainConfig:
        """Return the settings of the run."""
        with self._readable("config.json"):
            return self._config()

    def _config(self) -> TrainConfig:
        values = self._read_json("config.json")
        groups = {
            "split": SplitConfig,
            "history": HistoryConfig,
            "network": NetworkConfig,
            "closed_form": ClosedFormConfig,
            "edges": EdgeConfig,
            "related": RelatedConfig,
            "profiles": ProfileConfig,
        }
        return TrainConfig(
            **{key: _as_given(value) for key, value in values.items() if key not in groups},
            **{
                name: group(**{key: _as_given(value) for key, value in values[name].items()})
                for name, group in groups.items()
            },
        )

    def manifest(self) -> Manifest:
        """Return the run's manifest."""
        with self._readable("manifest.json"):
            values = self._read_json("manifest.json")
            return Manifest(
                **{key: value for key, value in values.items() if key != "weighing"},
                weighing=Weighing(**values["weighing"]),
            )

    def network(self) -> FittedNetwork | None:
        """Return the graph network's vectors and weights; None where the run had none."""
        own = self._tensors("network.")
        if not own:
            return None
        with self._readable(MODEL):
            return FittedNetwork(
                queries=own.pop("queries").numpy(),
                keys=own.pop("keys").numpy(),
                temperature=float(own["log_temperature"].exp()),
                weights=own,
                epochs=self.manifest().epochs,
            )

    def edges(self) -> FittedEdges | None:
        """Return the edge network; None where the run had none."""
        own = self._tensors("edges.")
        if not own:
            return None
        try:
            return FittedEdges(edge_network(own), self.edge_file().names())
        except (KeyError, RuntimeError) as error:
            raise InputError(f"{str(self.path / MODEL)!r} is not of this version ({error}); train again") from error

    def edge_file(self) -> EdgeFile:
        """Return the file of what the edge network read."""
        return EdgeFile(self.path / FILE)

    def _tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors of the model whose names begin with ``prefix``, without it."""
        file = self.path / MODEL
        try:
            tensors = load_file(file)
        except SafetensorError as error:
            raise InputError(f"{str(file)!r} is no whole model ({error}); train again") from error
        except FileNotFoundError as error:
            raise InputError(f"the run folder {str(self.path)!r} lacks {file.name}; train again") from error
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    def report(self) -> Report:
        """Return the run's report."""
        with self._readable("report.json"):
            return Report.from_json(self._read_json("report.json"))

    def calibration(self) -> Calibration | None:
        """Return how the run's scores become probabilities; None where it has no lists to learn that from."""
        if not (self.path / CALIBRATION).exists():
            return None
        with self._readable(CALIBRATION):
            return Calibration.from_json(self._read_json(CALIBRATION))

    def hash_of(self, name: str) -> str | None:
        """Return the SHA-256 of a file of the run; None where there is none."""
        try:
            with (self.path / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def write_probabilities(self, probabilities: Probabilities | None) -> None:
        """Write the points of the curve from scores to probabilities, and a picture of how far those hold."""
        if probabilities:
            self._write_json(CALIBRATION, probabilities.calibration.to_json())
        if probabilities and probabilities.on_test:
            content = io.BytesIO()
            reliability_figure(probabilities.on_test, name="scores of the run").savefig(content, format="png", dpi=150)
            (self.path / "reliability.png").write_bytes(content.getvalue())

    def write_config(self, config: TrainConfig) -> None:
        """Write the settings."""
        self._write_json("config.json", asdict(config))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest."""
        self._write_json("manifest.json", asdict(manifest))

    def write_model(self, network: FittedNetwork | None, edges: FittedEdges | None, *, read: Candidates | None) -> None:
        """Write the graph network's vectors and weights, the edge network's weights, and what it read of the edges."""
        tensors: dict[str, torch.Tensor] = {}
        if network:
            vectors = {"queries": torch.from_numpy(network.queries), "keys": torch.from_numpy(network.keys)}
            tensors |= {f"network.{name}": value for name, value in {**network.weights, **vectors}.items()}
        if edges:
            tensors |= {f"edges.{name}": value for name, value in edges.network.state_dict().items()}
        # Through a file of Python's, so that a full disk is an OSError that names it.
        content = save({name: value.cpu().contiguous() for name, value in tensors.items()})
        (self.path / MODEL).write_bytes(content)
        if read:
            (self.path / FILE).write_bytes(edge_file_content(read))

    def write_report(self, report: Report) -> None:
        """Write the report for programs (JSON) and for people (Markdown)."""
        self._write_json("report.json", report.to_json())
        _write_text(self.path / "report.md", as_markdown(report))

    def write_explanations(self, values: dict[str, Any]) -> Path:
        """Write what was measured of the run's explanations, and return the file."""
        self._write_json("explanations.json", values)
        return self.path / "explanations.json"

    def write_page(self, name: str, values: dict[str, Any], markdown: str) -> None:
        """Write another report, ``name``, for programs (JSON) and for people (Markdown)."""
        self._write_json(f"{name}.json", values)
        _write_text(self.path / f"{name}.md", markdown)

    def append_epoch(self, stage: str, record: EpochRecord) -> None:
        """Add a line to ``metrics.jsonl``."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, **asdict(record)}) + "\n")

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        """Say so where a file of the run lacks what this version writes, or has what it does not know."""
        try:
            yield
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(
                f"{str(self.path / name)!r} is not of this version ({type(error).__name__}: {error}); train again"
            ) from error

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            values = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"the run folder {str(self.path)!r} lacks {name}; train again") from error
        except ValueError as error:
            raise InputError(f"{str(self.path / name)!r} is no JSON ({error}); train again") from error
        if not isinstance(values, dict):
            raise InputError(f"{str(self.path / name)!r} holds no object; train again")
        return values

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        _write_text(self.path / name, json.dumps(values, indent=2) + "\n")


@contextmanager
def new_run(config: TrainConfig, name: str) -> Iterator[RunFolder]:
    """Give a folder to write a run to; it takes its place among the runs only when the block ends without an error.

    What a killed training had written down of its networks goes when the run is there.
    """
    place = real_place(Path(config.runs) / name)
    _require_replaceable(place, config)
    place.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own for each process, so that two runs of one name do not write into each other's.
    beside = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=place.parent))
    try:
        folder = RunFolder(beside)
        folder.write_config(config)
        # There also where no network is trained, with no line.
        (beside / "metrics.jsonl").touch()
        yield folder
        put_in_place(beside, place)
        shutil.rmtree(checkpoint_folder(config, name), ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def checkpoint_folder(config: TrainConfig, name: str) -> Path:
    """Return where the training of a run is written down: beside the run, so that a killed one leaves it there."""
    place = real_place(Path(config.runs) / name)
    return place.with_name(f".{place.name}.checkpoints")


def _require_replaceable(place: Path, config: TrainConfig) -> None:
    if config.overwrite or not (place / "config.json").exists():
        return
    try:
        old = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"the run {place.name!r} has a broken config.json ({error}); give another --run NAME, or --overwrite"
        ) from error
    new = json.loads(json.dumps({name: value for name, value in asdict(config).items() if name not in PLACES}))
    changed = [key for key in new if new[key] != old.get(key)]
    if changed:
        key = changed[0]
        raise InputError(
            f"the run {place.name!r} exists with other settings ({key} is {new[key]!r}, was {old.get(key)!r}); "
            "give another --run NAME, or --overwrite"
        )


def _write_text(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def _as_given(value: Any) -> Any:
    """Return a setting as it was before JSON made a list of a tuple."""
    return tuple(value) if isinstance(value, list) else value
