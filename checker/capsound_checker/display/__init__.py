"""Turning results into text, JSON and traces.

In: results of every other wing, as data. Out: words for a terminal, JSON documents, ITF traces.
"""
