"""Networks on a processor that is not here: run instruction by instruction, counted, never timed."""
