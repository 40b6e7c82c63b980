"""An application of asyncio inside the checker: its coroutine on a loop of ours, its HTTP client ended in the explorer.

In: a coroutine function, a cap and prices. Out: runs, as those of a command: what was sent, billed and answered under
each schedule. No socket is opened and time is virtual, so thousands of schedules take seconds.
"""
