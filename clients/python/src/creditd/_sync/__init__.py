"""The client for code without an event loop."""

from creditd._sync.accounts import AccountCalls
from creditd._sync.admin import AdminCalls
from creditd._sync.charges import ChargeCalls
from creditd._sync.holds import HoldCalls
from creditd._sync.keys import KeyCalls
from creditd._sync.ledger import LedgerCalls
from creditd._sync.pricing import PricingCalls
from creditd._sync.watch import BalanceWatch


class Client(PricingCalls, LedgerCalls, AccountCalls, ChargeCalls, HoldCalls, AdminCalls, KeyCalls):
    """A client of one creditd server, safe to share between threads.

        with Client("127.0.0.1:50051") as client:
            print(client.estimate("ai_scripts", count=3).credits)

    It connects at the first call. Every method raises CreditdError where the server refuses or
    cannot be reached, and TypeError or ValueError, before anything is sent, for an argument that
    has no exact form on the wire. Every method also takes:

    - `timeout`: seconds or a timedelta for the whole call, retries and the pauses between them
      included; default: the client's.
    - `metadata`: further metadata to send, as pairs of key and value.
    - `x_request_id`: the id of the call in the server's log; default: one that the server makes.

    Every method that moves credits, `extend_hold` and `update_account` take a `request_id`, unique
    within the account, and make one where none is given. The same request_id with the same
    arguments returns the first answer, with others it raises RequestIdReusedError. A refusal leaves
    it free.

    Args:
        target: Address of the server: host and port, "unix:" and a path, or another form of grpc.
        timeout: Seconds or a timedelta that a call may take.
        retry: Which calls are sent again, and when. Writes are too: they keep their request_id.
        credentials: For TLS. Without them loopback addresses and Unix sockets are reached in
            plaintext, and other hosts by TLS with the usual root certificates.
        tls: TLS by files, to any target: who may have issued the server's certificate, one of the
            client's own, the server's name.
        insecure: Reach any host in plaintext.
        key: The key to send with every call, or a function that returns it, which is asked before
            each attempt of a call, so that keys can change. A call whose key is refused as
            KEY_INVALID is sent once more where the function then returns another one. What it
            raises is raised by the call. A key is never sent in plaintext to another machine.
        channel: Used as it is, in place of a connection to `target`, and left open by `close`.

    Raises:
        ValueError: The target is invalid, arguments exclude each other, or the key cannot be sent,
            or not there.
        TypeError: An argument has a wrong type.
    """


__all__ = ["BalanceWatch", "Client"]
