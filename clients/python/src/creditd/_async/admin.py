"""AdminService for the asynchronous client: rate cards of a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import admin as convert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from creditd._attempts import Timeout
    from creditd.config import ReloadConfigResult
    from creditd.model import PublishRateCardResult, RateCardRevision, RateCardRevisionPage


class AdminCalls(Transport):
    """Administers a running server. Every call can be repeated: the same again changes nothing."""

    async def publish_rate_card(
        self,
        toml: str,
        *,
        validate_only: bool = False,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> PublishRateCardResult:
        """Takes up a rate card, without a restart, or only checks it.

        It is in force from its effective_time on; without one, or with one that has passed, at
        once. A card with the name and the effective_time of a scheduled one takes its place.

        Args:
            toml: The text of the card as a file has it, at most 2 MiB.
            validate_only: Only check it, and change nothing.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The card with its revision, state and text, and what may not be meant as it stands.

        Raises:
            RateCardInvalidError: The text is no rate card; `line` and `problem` say why.
            RateCardNameTakenError: The server's files have a card of that name, or the time of
                another one of this name and effective_time has come.
            FailedPreconditionError: There are as many rate cards as the server keeps.
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "PublishRateCard",
            convert.publish_rate_card_to_pb(toml, validate_only=validate_only),
            convert.publish_rate_card_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_rate_cards(
        self,
        rate_card: str | None = None,
        *,
        with_toml: bool = False,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[RateCardRevision]:
        """Yields the rate cards of the server, fetched page by page as they are read.

        They stand by name, then by effective_time: those in force, those that are scheduled, and
        all that were replaced. `get_rate_card` says what one of them prices.

        Args:
            rate_card: Only cards of this name. Left out, all.
            with_toml: Also give their texts.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for each page. Left out, the client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            An asynchronous iterator, which raises the errors below as it is read.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        pages = self._pages(
            "ListRateCards",
            convert.rate_cards_to_pb(rate_card, with_toml=with_toml, page_size=page_size),
            convert.rate_cards_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (card async for page in pages for card in page.rate_cards)

    async def list_rate_cards_page(
        self,
        rate_card: str | None = None,
        *,
        page_token: str = "",
        with_toml: bool = False,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RateCardRevisionPage:
        """Gives one page of `list_rate_cards`, to show pages or to continue later by the token.

        A page may have fewer cards than asked for, or none: only an empty `next_page_token` is the
        end.

        Args:
            rate_card: Only cards of this name. Left out, all.
            page_token: The `next_page_token` of the page before, which had the same filters.
            with_toml: Also give their texts.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The cards, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListRateCards",
            convert.rate_cards_to_pb(
                rate_card, with_toml=with_toml, page_size=page_size, page_token=page_token
            ),
            convert.rate_cards_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def withdraw_rate_card(
        self,
        revision: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RateCardRevision:
        """Withdraws a published rate card that has not come into force yet.

        Its revision, which may have been quoted, is honoured.

        Args:
            revision: The revision of the card.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The card with its text, to be published again where that was a mistake.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such revision.
            RateCardNotScheduledError: It is in force, was replaced, or is not a published one.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "WithdrawRateCard",
            convert.withdraw_rate_card_to_pb(revision),
            convert.withdraw_rate_card_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def reload_config(
        self,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> ReloadConfigResult:
        """Has the server read its configuration again, as SIGHUP does.

        Its file, and the rate cards, certificates and keys that this names: all of it is taken, or
        nothing where something is wrong. The same again changes nothing.

        Args:
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            What changed, and which options only a restart takes.

        Raises:
            FailedPreconditionError: Something is wrong with it; the message says all of it.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ReloadConfig",
            convert.reload_config_to_pb(),
            convert.reload_config_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
