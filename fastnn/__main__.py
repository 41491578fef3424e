"""The command line: python -m fastnn."""

import sys

from fastnn._command_line import main

if __name__ == "__main__":
    sys.exit(main())
