"""Tables with a row for each product, in 16 bits or on the CPU: a step reads its rows, and their gradient is sparse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor
from torch.optim.adam import adam


class _Rows(torch.autograd.Function):
    """Rows of a table in 32 bits; the gradient is theirs alone, and as exact."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, products: Tensor, device: torch.device) -> Tensor:
        ctx.products, ctx.shape = products, table.shape
        return table[products].to(device, torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own = gradient.to(ctx.products.device)
        return torch.sparse_coo_tensor(ctx.products[None], own, ctx.shape, check_invariants=False), None, None


def rows(
    table: Float[Tensor, "products ..."], products: Int[Tensor, " chosen"] | None, *, device: torch.device
) -> Float[Tensor, "chosen ..."]:
    """Return these rows of a table, all of them with None, in 32 bits on ``device``, wherever the table is.

    The gradient of chosen rows is sparse and in 32 bits, which a table in 16 has to allow (``grad_dtype``).
    """
    if products is None:
        return table.to(device, torch.float32)
    return _Rows.apply(table, products.to(table.device), device)  # type: ignore[no-any-return]


class RoundedAdam(torch.optim.Optimizer):
    """Adam of the rows that have a gradient, as torch's ``SparseAdam``, also for tables in 16 bits.

    Moments and step are in 32 bits, and a table in 16 gets the sum by :func:`rounded`: in 16 bits squares of gradients
    are 0, and small steps are lost. Moments of the other rows stay as they are.
    """

    def __init__(self, tables: Iterable[Tensor], *, lr: float, rng: torch.Generator) -> None:
        super().__init__(tables, {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8})
        self.rng = rng

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Move the rows that have a gradient."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._move(table, group)

    def _move(self, table: Tensor, group: dict[str, Any]) -> None:
        gradient = table.grad.coalesce()  # type: ignore[union-attr]
        (chosen,) = gradient.indices()
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = (torch.zeros_like(table, dtype=torch.float32) for _ in range(2))
        moved, mean, square = table[chosen].float(), state["mean"][chosen], state["square"][chosen]
        beta1, beta2 = group["betas"]
        adam(
            [moved],
            [gradient.values()],
            [mean],
            [square],
            [],
            [state["step"]],
            foreach=False,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )
        state["mean"][chosen], state["square"][chosen] = mean, square
        table[chosen] = moved if table.dtype == torch.float32 else rounded(moved, rng=self.rng)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        super().load_state_dict(state_dict)
        # torch has just put the moments into the table's 16 bits.
        for number, table in enumerate(table for group in self.param_groups for table in group["params"]):
            kept = state_dict["state"].get(number, {})
            self.state[table] = {name: value.to(table.device) for name, value in kept.items()}


def rounded(values: Float[Tensor, "*shape"], *, rng: torch.Generator) -> Float16[Tensor, "*shape"]:
    """Return each value as one of its two neighbours in 16 bits, by chance, so that the mean is the value itself.

    Stochastic rounding (Gupta et al. 2015, Deep learning with limited numerical precision, section 3): of many steps
    that are each too small to reach the next number, the sum is not lost.
    """
    # A number m · 2^e with m from 1/2 to 1 has 11 binary places in 16 bits, and none below 2^-24.
    _, exponent = torch.frexp(values)
    apart = torch.ldexp(torch.ones_like(values), exponent.clamp(min=-13) - 11)
    drawn = torch.rand(values.shape, generator=rng).to(values.device)
    return ((values / apart + drawn).floor() * apart).half()
