"""Where each node goes: packing, partitions, capacity. Pure."""
