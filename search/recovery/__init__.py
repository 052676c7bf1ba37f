"""What compression cost, won back after the search: which candidates are trained, and what becomes of them.

Recovered candidates are no trials of the study. Every sampler of Optuna's learns from all complete trials of a study,
and none can be told to leave some out; a search that goes on would take trained values for what a policy gives without
training. So they stand in a file of their own, as confirmations do, and their weights, which no study could hold,
beside it. The study stays what any Optuna tool expects: one kind of trial.
"""
