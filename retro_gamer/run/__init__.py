"""What is kept of a run: config.toml, training.log, checkpoints and the lock."""
