"""Features: what a network reads of a board, and the spec of the network. Numpy only, no torch."""
