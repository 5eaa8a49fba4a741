"""What is remembered: n-step transitions, the sum-tree and the prioritized memory. Numpy only."""
