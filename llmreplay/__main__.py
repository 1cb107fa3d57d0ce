"""`python -m llmreplay`: the command line."""

from __future__ import annotations

from llmreplay.cli import main

if __name__ == "__main__":
    main()
