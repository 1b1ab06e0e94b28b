"""What an operator sees: health, metrics, status."""
