"""Where actors and replay run: in this process, or in Ray actors."""
