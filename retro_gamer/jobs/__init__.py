"""Training on a Ray cluster from outside it: what is sent, followed and brought back. Nothing here imports ray."""
