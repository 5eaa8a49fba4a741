"""The Q-networks and their gradients."""
