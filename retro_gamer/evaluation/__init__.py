"""How good a trained agent is: games without exploration on seeds of their own, beside random play."""
