"""All benchmarks, one after the other: ``python benchmarks [--quick] [--markdown]``; what ``make bench`` runs.

Each is a program of its own, with more options; one that breaks ends the run with its status.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from environments import HERE

PROGRAMS = (
    ("Startup and calls", "run.py"),
    ("Delivery", "delivery.py"),
    ("Streams and unsampled calls", "chunks.py"),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python benchmarks", description="all benchmarks: about 25 minutes")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: about ten minutes, wider spreads")
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/benchmarks.md has them")
    parser.parse_args()
    for title, program in PROGRAMS:
        print(f"## {title}\n", flush=True)
        status = subprocess.run([sys.executable, str(HERE / program), *sys.argv[1:]], check=False).returncode
        if status:
            sys.exit(status)
        print(flush=True)
