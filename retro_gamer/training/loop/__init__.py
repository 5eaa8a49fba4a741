"""The training loop and its parts: reports, checkpointing, schedules, tickets, progress, diagnostics."""
