"""For all tests: one thread, and every call's types and shapes checked as its signature states them."""

from __future__ import annotations

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)
# Before any of the packages is imported: a module is checked from its import on.
install_import_hook(["loaders", "gnn"], "beartype.beartype")
