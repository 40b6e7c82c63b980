"""Judging an application or a gateway: the checker is the provider, over HTTP.

In: a command to run, a cap and prices. Out: which guarantee its cap keeps, the run that breaks it, in money.
"""
