"""Client of creditd, which prices usage in credits and keeps a prepaid ledger.

`Client` for code without an event loop, `AsyncClient` for code with one. Values are exact:
Decimal, never float. A call that is refused or fails raises CreditdError.
"""

from creditd import config, enums, errors, keys, model
from creditd._async import AsyncBalanceWatch, AsyncClient
from creditd._attempts import RetryPolicy, Timeout
from creditd._call_key import AsyncKeySource, KeySource
from creditd._channel import VERSION, Metadata
from creditd._request_id import new_request_id, request_id_of
from creditd._sync import BalanceWatch, Client
from creditd._tls import Tls
from creditd._values import Amount, Duration, MeterValue
from creditd.config import *
from creditd.enums import *
from creditd.errors import *
from creditd.keys import *
from creditd.model import *
from creditd.reason import Reason

__version__ = VERSION

__all__ = [
    "Amount",
    "AsyncBalanceWatch",
    "AsyncClient",
    "AsyncKeySource",
    "BalanceWatch",
    "Client",
    "Duration",
    "KeySource",
    "Metadata",
    "MeterValue",
    "Reason",
    "RetryPolicy",
    "Timeout",
    "Tls",
    "__version__",
    "new_request_id",
    "request_id_of",
]
# Public names are listed once, in the modules that define them.
__all__ += config.__all__
__all__ += enums.__all__
__all__ += errors.__all__
__all__ += keys.__all__
__all__ += model.__all__
