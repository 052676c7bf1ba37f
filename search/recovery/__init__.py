"""What compression cost, won back: which candidates are trained, in the search or after it, and what becomes of them.

Every sampler of Optuna's learns from all complete trials of a study, and none can be told to leave some out. So a study
has one kind of trial (`search.study.training_record`), as any Optuna tool expects. In a search that trains nothing,
candidates that are recovered afterwards are no trials of it: a search that goes on would take trained values for what a
policy gives without training. They stand in a file of their own, as confirmations do, and their weights, which no study
could hold, beside it. In a search that trains (`search.recovery.trial_trainer`) all values are of candidates after
recovery, and what policies give untrained stands beside them in the trials.
"""
