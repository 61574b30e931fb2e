"""``python -m adagp.cli`` is ``adagp``."""

import sys

from . import main

sys.exit(main())
