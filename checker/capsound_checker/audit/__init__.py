"""Judging a log that a production system wrote.

In: lines, and a mapping from foreign fields. Out: an ``Audit`` with findings, doubts and what was assumed.
"""
