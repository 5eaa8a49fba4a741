"""The replay buffer: transitions, samplers and snapshots. Numpy only."""
