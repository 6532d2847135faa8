"""Learning from many groups what a new one needs only a few rows to adapt to: in Python, and what
the pipeline's `meta_train` and `lepton adapt` share with it."""
