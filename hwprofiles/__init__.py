"""hwprofiles."""
