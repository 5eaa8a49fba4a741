"""Ray: the processes of a run and what passes between them. Nothing outside this folder imports ray."""
