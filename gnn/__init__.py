"""The graph becomes ranked edges: features, network, training, evaluation, export."""

import warnings

# Said by libraries about themselves at every start; nobody who runs a command here can do anything about it.
warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
warnings.filterwarnings("ignore", message="Sparse invariant checks are implicitly disabled")
