"""`python -m pylstm`: the command line."""

import sys

from pylstm.cli import main

if __name__ == "__main__":
    sys.exit(main())
