"""Before training starts: the run spec, the allocation of cores, and what this machine can do."""
