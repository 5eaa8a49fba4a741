"""What `train` and `create` do: a run from its directory to its last checkpoint."""
