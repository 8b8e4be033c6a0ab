"""The knowledge graph: its words, its stores and its queries."""
