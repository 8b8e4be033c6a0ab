"""The graph becomes ranked edges: features, network, training, evaluation, export."""

import os
import warnings

# PyTorch reads it when it first takes memory, so before anything imports it. Large tensors, which are memory fresh from
# the system wherever freed memory is not kept (gnn/memory.py), then come by 2 MB at a time and not 4 kB.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Said by libraries about themselves at every start; nobody who runs a command here can do anything about it.
warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")
