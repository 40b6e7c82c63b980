"""Judging a recorded concurrent run: some order of its operations must explain the answers.

In: operations with the times of their calls and returns. Out: an order, or the shortest window that no order explains.
"""
