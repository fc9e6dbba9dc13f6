"""Running writers: plan what to run, run each in a process of its own, judge what it wrote.

`refresh()` in `engine.py` is the way in. `host.py` runs in the child process, in the project's
environment; everything else runs in the process that refreshes.
"""
