"""The outbox: a finished span becomes one record in a segment file, and leaves it when the server has accepted it.

To be read in this order: ``directory`` and ``places`` (where the files are, and whose), ``segment`` (what is in one),
``writer`` (the one that this process appends to), ``claims`` (those that nobody holds), ``room`` (the bound),
``counters`` and ``losses`` (what has become of the spans), ``store`` (all of that for one destination) and ``memory``
(where no disk can be written); then ``delivery`` (what a server's verdict means) and ``sender`` (the thread).
"""
