"""Structured sparsity: which channels go together, which go first, and the graph without them."""
