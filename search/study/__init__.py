"""The Optuna study: where it lies, who works on it, what it has seen, and what a trial leaves in it."""
