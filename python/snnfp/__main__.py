"""``python -m snnfp`` is ``snnfp``."""

import sys

from snnfp.cli import main

sys.exit(main())
