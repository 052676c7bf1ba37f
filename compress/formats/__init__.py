"""Number formats: where integers and halves stand in the graph, and which kernels run them."""
