"""The front door: everything that is read from outside passes its limits first.

In: lines, JSON, numbers and names that others wrote. Out: the same, small enough to work with and to print.
"""
