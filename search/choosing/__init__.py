"""From a confirmed front to one point, and from that to a bundle."""
