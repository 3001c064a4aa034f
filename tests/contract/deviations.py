"""Where an endpoint does something else than AWS documents: (endpoint, test) -> what, and what is documented.

Each is a strict xfail. Ours has no entry without an issue that is about to be closed.
"""

DEVIATIONS = {}
