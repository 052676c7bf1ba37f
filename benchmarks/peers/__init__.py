"""What a plain user would do with other tools, for comparison."""
