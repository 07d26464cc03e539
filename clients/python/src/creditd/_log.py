"""The logger of the package: what was sent again, and connections that were replaced.

Never the contents of a call, nor its metadata: those may be secrets.
"""

import logging

logger = logging.getLogger("creditd")
# Silent until the program sets logging up, as is usual for a library.
logger.addHandler(logging.NullHandler())
