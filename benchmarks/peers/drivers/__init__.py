"""Scripts that run in the environments of the peers. They stand alone: this project is not installed there."""
