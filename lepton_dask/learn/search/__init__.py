"""Searching the fields of a training: what there is to try, in what order, and how far."""
