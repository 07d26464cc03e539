"""The client for code that runs in an event loop."""

from creditd._async.accounts import AccountCalls
from creditd._async.admin import AdminCalls
from creditd._async.charges import ChargeCalls
from creditd._async.holds import HoldCalls
from creditd._async.keys import KeyCalls
from creditd._async.ledger import LedgerCalls
from creditd._async.pricing import PricingCalls
from creditd._async.watch import AsyncBalanceWatch


class AsyncClient(
    PricingCalls, LedgerCalls, AccountCalls, ChargeCalls, HoldCalls, AdminCalls, KeyCalls
):
    """What Client is, with the same methods as coroutines; iterators are asynchronous ones.

        async with AsyncClient("127.0.0.1:50051") as client:
            print((await client.estimate("ai_scripts", count=3)).credits)

    Make it inside of the event loop that uses it; elsewhere the constructor raises RuntimeError,
    and so does a call from another loop.
    `channel` is one of grpc.aio. `key` can be a coroutine function too, which the timeout of the
    call limits; another function must not block. The other arguments, and those of the methods, are
    those of Client. A watch begins when it is first read. A wait for its next balance that is
    cancelled, as asyncio.wait_for does it, ends the watch.
    """


__all__ = ["AsyncBalanceWatch", "AsyncClient"]
