"""The fault table: what becomes of the spans, and of the program, when the server, the process or the disk fails.

``rows`` is the table, ``servers`` and ``disks`` misbehave, ``programs`` is what runs, ``running`` runs one row of it,
and ``publish`` writes ``docs/reliability.md``, with the stock pipeline's result beside ours.
"""
