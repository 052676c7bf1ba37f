"""The problems on which samplers are compared, one per file, and what compares them."""
