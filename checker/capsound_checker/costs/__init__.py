"""What a cap costs: over-reservation, overshoot and false refusals of strategies.

In: a workload (a file or a generator) and strategies. Out: tables, intervals and the frontier of cost against risk.
"""
