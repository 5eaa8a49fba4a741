"""The training loop and all that it keeps count of."""
