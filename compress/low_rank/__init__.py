"""One layer becomes two thinner ones."""
