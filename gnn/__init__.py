"""The graph becomes ranked edges: features, network, training, evaluation, export."""
