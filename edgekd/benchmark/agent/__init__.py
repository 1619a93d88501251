"""The measuring agent: a standalone program, `python3 AGENT_FOLDER job.json`, one JSON document on stdout.

It needs the standard library, numpy and one runtime, on Python 3.9 or newer, and never imports edgekd, so that the
folder can be copied to a device as it is. Files at its top import nothing of each other except in `__main__.py`.
"""
