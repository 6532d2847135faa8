"""What the engine is held against: ours and the peers side by side, as ratios. See README.md."""
