"""What is played: descriptions, loading, drawing, sessions and `GameEnvironment` (numpy and retro-games only)."""
