"""One candidate on its way from bytes to figures, and when it need not go on."""
