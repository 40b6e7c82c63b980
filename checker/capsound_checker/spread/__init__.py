"""Work for other machines: a cluster that is there, whose workers have the same capsound.

In: the address of a scheduler, and tasks, each a pure function of bytes. Out: what they return, in whatever order it is
asked for. A worker that dies takes nothing with it: its task is done again elsewhere, and counts once.
"""
