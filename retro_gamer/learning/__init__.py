"""What learns: network, losses, actor and learner. Every import of torch is here."""

import os

# Read when torch is first imported. Its threads otherwise spin while they wait for each other, and where the cores are
# shared (a class on one server, a browser beside the training) spinning takes from the very thread waited for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
