"""From what a user typed to a function that builds a fresh game: finding, importing, capturing, and a sandbox."""
