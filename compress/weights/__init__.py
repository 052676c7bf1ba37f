"""A layer's weights, and what becomes of them: rounded and masked with errors made good elsewhere."""
