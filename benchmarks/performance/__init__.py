"""How fast: each module measures one thing and is run in a process of its own."""
