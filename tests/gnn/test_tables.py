"""Tables kept apart, against torch's SparseAdam and numpy's 16 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnn.tables import RoundedAdam, rounded, rows

CPU = torch.device("cpu")


@given(st.floats(-60_000, 60_000, width=32), st.integers(0, 1000))
def test_a_rounded_number_is_one_of_the_two_next_to_it_in_16_bits(value: float, seed: int) -> None:
    found = rounded(torch.full((20,), value), rng=torch.Generator().manual_seed(seed)).numpy()
    nearest = np.float16(value)
    if float(nearest) == value:
        expected = {nearest}
    else:
        expected = {nearest, np.nextafter(nearest, np.float16(np.inf if float(nearest) < value else -np.inf))}
    assert set(found) <= expected


@pytest.mark.parametrize("value", [1.0003, -0.01234567, 3e-5, 1.7e-8, 0.0])
def test_the_mean_of_rounded_numbers_is_the_number(value: float) -> None:
    found = rounded(torch.full((200_000,), value), rng=torch.Generator().manual_seed(0)).double()
    apart = float(np.spacing(np.float16(abs(value))))
    # The draws have at most half the distance as their standard deviation: four of its mean.
    assert float(found.mean()) == pytest.approx(value, abs=4 * 0.5 * apart / 200_000**0.5)


def test_its_adam_is_that_of_torchs_sparse_adam() -> None:
    rng = torch.Generator().manual_seed(0)
    begin = torch.randn(6, 3, generator=rng)
    ours, theirs = (torch.nn.Parameter(begin.clone()) for _ in range(2))
    of_ours = RoundedAdam([ours], lr=0.05, rng=rng)
    of_theirs = torch.optim.SparseAdam([theirs], lr=0.05)
    for _ in range(30):
        # Rows may come twice.
        chosen = torch.randint(5, (4,), generator=rng)
        goal = torch.randn(4, 3, generator=rng)
        for table, optimizer in ((ours, of_ours), (theirs, of_theirs)):
            optimizer.zero_grad()
            (rows(table, chosen, device=CPU) - goal).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert torch.equal(ours[5], begin[5])


def test_of_steps_too_small_for_16_bits_the_sum_is_not_lost() -> None:
    table = torch.nn.Parameter(torch.ones(2000, 1, dtype=torch.float16))
    table.grad_dtype = torch.float32
    optimizer = RoundedAdam([table], lr=1e-6, rng=torch.Generator().manual_seed(0))
    for _ in range(100):
        optimizer.zero_grad()
        # A gradient that is 0 in 16 bits.
        (1e-9 * rows(table, torch.arange(2000), device=CPU)).sum().backward()
        optimizer.step()
    assert float(table.detach().double().mean()) == pytest.approx(1.0 - 100 * 1e-6 / (1 + 1e-8 / 1e-9), rel=0, abs=6e-5)
