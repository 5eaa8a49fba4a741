"""Actors: they play games by an epsilon-greedy copy of the policy and build transitions."""
