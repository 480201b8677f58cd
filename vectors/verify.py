#!/usr/bin/env python3
"""Independent verifier of evidence bundles, written from spec/ alone (no code shared with the rest).

  python3 vectors/verify.py            judges the cases beside this file, those of TPMs left out by name
  python3 vectors/verify.py --stdin    one case (JSON) per line in, one verdict (JSON) per line out

Docstrings and comments in verifier/ cite the clauses of spec/. A judging function returns (passed),
raises Refusal (failed, with its code) or raises NotChecked (with its reason). No other exception may
leave `verify`.
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # leaves no files beside the sources
sys.path.insert(0, str(Path(__file__).resolve().parent))

from verifier.vectors import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
