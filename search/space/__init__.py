"""Which policies there are: the knobs of a network on a target."""
