"""What compression cost, won back by training or by refitting: from a policy and data to weights, and to candidates."""
