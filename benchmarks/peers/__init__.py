"""What a user would otherwise pick, each in an environment of its own, driven through its public interface only."""
