"""`python -m components.stages STAGE RUN [NAME]`: DVC's entry point."""

import sys

from components.errors import EXIT_CODE_STOPPED
from components.stages.warm import fork

if __name__ == "__main__":
    try:
        if (code := fork(sys.argv[1:])) is not None:
            sys.exit(code)
        from components.stages.command import start  # takes a second

        start(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(EXIT_CODE_STOPPED)
