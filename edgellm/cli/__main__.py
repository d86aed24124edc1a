"""`python -m edgellm.cli` is the `edgellm` command."""

import sys

from edgellm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
