"""Finding the order that breaks a budget: tasks of asyncio, threads, and signal handlers.

In: an adapter and a program of agents. Out: runs, each judged by the monitor, and the choices that lead to each.
``eventloop`` and ``interleave`` choose, ``concurrency`` runs one schedule of asyncio, ``threads`` races two threads.
"""
