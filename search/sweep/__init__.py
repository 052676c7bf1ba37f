"""What is found out before the first proposal: what single choices do to the outputs, and where the time goes."""
