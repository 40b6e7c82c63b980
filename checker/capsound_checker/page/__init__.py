"""What is pasted or shown: a page of HTML for a run, its Markdown, and a badge.

In: the ``--json`` document of a command. Out: one self-contained file, with the document in the page.
"""
