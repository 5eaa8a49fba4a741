"""How good a trained agent is: greedy games on seeds of their own, beside random play on the same seeds."""
