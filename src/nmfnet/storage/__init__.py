"""Files: bytes, durable and distrusted."""
