"""A cluster in one thread: the real rules, simulated shells around them, faults from a seed.

The machine, the plan, the order of queues and the rules of leases are the real functions. What
is simulated is thin: each class says which actor it mirrors. ``python -m tests.simulation SEED``
replays one seed.
"""
