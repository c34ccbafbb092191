"""The two ways to shape a wire: the kernel's netem and a userspace engine."""
