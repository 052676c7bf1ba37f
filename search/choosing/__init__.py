"""From a confirmed front to one point."""
