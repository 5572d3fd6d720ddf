"""``python -m toolgen_hf.cli``"""

import sys

from toolgen_hf.cli import main

sys.exit(main())
