"""Against the winner's curse: the front measured afresh, on unseen samples, on the target itself."""
