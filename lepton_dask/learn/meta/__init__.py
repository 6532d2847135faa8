"""Learning from many groups what a new group needs only a few rows to adapt to."""
