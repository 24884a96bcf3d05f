"""``python -m edge_forwarder`` is ``maypacs-edge``."""

import sys

from edge_forwarder.cli import main

sys.exit(main())
