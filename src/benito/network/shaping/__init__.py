"""Shaping of wires: two backends of one meaning, the kernel's netem and a userspace engine."""
