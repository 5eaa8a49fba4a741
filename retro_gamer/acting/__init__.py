"""Actors: they play games with an epsilon-greedy copy of the policy and build transitions."""
