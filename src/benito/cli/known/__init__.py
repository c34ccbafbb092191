"""The commands that people know from Benito on DETER and from DETER Containers, over what `benito create` uses."""
