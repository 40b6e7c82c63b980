"""What providers speak: one module a dialect, each pure functions from requests and replies to bytes.

In: the path and the body of a request, and what the model is to say. Out: what was asked for, and the bytes of an
answer that the vendor's own client accepts.
"""
