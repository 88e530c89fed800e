"""Classical potentials: each file one family, each function one potential with its parameters."""
