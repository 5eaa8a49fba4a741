"""What a network is shown: numpy features of the board, and the spec of the network that reads them. No torch."""
