"""Judging what is published: many libraries, each in an environment of its own, each verdict one command.

In: ``league.toml`` and a folder for environments and results. Out: a document with a verdict for every target, rendered
as a table, a page, badges and a plot. What was judged is kept, so that a campaign that was killed goes on where it was.
"""
