"""The client for code without an event loop."""

from creditd._sync.ledger import LedgerCalls
from creditd._sync.pricing import PricingCalls


class Client(PricingCalls, LedgerCalls):
    """A client of one creditd server, safe to share between threads.

        with Client("127.0.0.1:50051") as client:
            print(client.estimate("ai_scripts", count=3).credits)

    It connects at the first call. Every method raises CreditdError where the server refuses or
    cannot be reached, and TypeError or ValueError, before anything is sent, for an argument that
    has no exact form on the wire. Every method also takes:

    - `timeout`: seconds or a timedelta for the whole call, retries and the waits between them
      included; default: the client's.
    - `metadata`: pairs to send along.
    - `x_request_id`: the name of the call in the server's log; default: one that the server makes.

    Args:
        target: Address of the server.
        timeout: Seconds or a timedelta that a call may take.
        retry: Which calls are sent again, and when. Writes are too: they keep their request_id.
        credentials: For TLS; without them the connection is plain text.
        channel: Used as it is, in place of a connection to `target`, and left open by `close`.
    """


__all__ = ["Client"]
