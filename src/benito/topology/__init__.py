"""What the experimenter asked for: the model and its readers. Pure: no root, no clock, no network."""
