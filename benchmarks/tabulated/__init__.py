"""Every policy of a small real network with its figures: how the table is made, and how it is read."""
