"""What an experiment's nodes find at their gateway: names, packages, shared folders.

Programs that run beside the hub (`network.hub`), which is the only thing on the control network that nodes know. They
face nodes whose root may be anybody's, so they run without privileges where they can. This room knows no experiment:
each program is told all it needs by one file (`settings`). It is no part of `network`, which makes kernel objects and
runs nothing.
"""
