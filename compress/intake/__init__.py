"""What a user brings, into the one form that everything else relies on."""
