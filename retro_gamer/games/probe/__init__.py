"""What `check` does: plays a game, tries its keys and proposes a description."""
