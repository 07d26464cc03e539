"""Messages of AdminService."""

from creditd._convert.messages import enum_from_number, optional_time_from_field
from creditd._values import INT32, flag, optional_text, text, whole
from creditd.config import ConfigChange, ReloadConfigResult
from creditd.enums import RateCardState
from creditd.model import PublishRateCardResult, RateCardRevision, RateCardRevisionPage
from creditd.v1 import admin_pb2


def publish_rate_card_to_pb(toml: str, *, validate_only: bool) -> admin_pb2.PublishRateCardRequest:
    """The request of PublishRateCard."""
    return admin_pb2.PublishRateCardRequest(
        toml=text(toml, "toml"), validate_only=flag(validate_only, "validate_only")
    )


def rate_cards_to_pb(
    rate_card: str | None, *, with_toml: bool, page_size: int, page_token: str = ""
) -> admin_pb2.ListRateCardsRequest:
    """The request of ListRateCards."""
    return admin_pb2.ListRateCardsRequest(
        rate_card=optional_text(rate_card, "rate_card"),
        with_toml=flag(with_toml, "with_toml"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
    )


def withdraw_rate_card_to_pb(revision: str) -> admin_pb2.WithdrawRateCardRequest:
    """The request of WithdrawRateCard."""
    return admin_pb2.WithdrawRateCardRequest(revision=text(revision, "revision"))


def publish_rate_card_from_pb(reply: admin_pb2.PublishRateCardResponse) -> PublishRateCardResult:
    """The card that was published, or would be."""
    return PublishRateCardResult(
        rate_card=_rate_card(reply.rate_card), warnings=tuple(reply.warnings)
    )


def rate_cards_page_from_pb(reply: admin_pb2.ListRateCardsResponse) -> RateCardRevisionPage:
    """Cards in the order of the reply."""
    return RateCardRevisionPage(
        rate_cards=tuple(_rate_card(card) for card in reply.rate_cards),
        next_page_token=reply.next_page_token,
    )


def withdraw_rate_card_from_pb(reply: admin_pb2.WithdrawRateCardResponse) -> RateCardRevision:
    """The card that was withdrawn."""
    return _rate_card(reply.rate_card)


def reload_config_to_pb() -> admin_pb2.ReloadConfigRequest:
    """The request of ReloadConfig."""
    return admin_pb2.ReloadConfigRequest()


def reload_config_from_pb(reply: admin_pb2.ReloadConfigResponse) -> ReloadConfigResult:
    """What changed, and what needs a restart."""
    return ReloadConfigResult(
        changes=tuple(_change(change) for change in reply.changes),
        need_restart=tuple(_change(change) for change in reply.need_restart),
    )


def _change(message: admin_pb2.ConfigChange) -> ConfigChange:
    return ConfigChange(what=message.what, before=message.before, after=message.after)


def _rate_card(message: admin_pb2.RateCard) -> RateCardRevision:
    return RateCardRevision(
        rate_card=message.rate_card,
        revision=message.revision,
        title=message.title,
        effective_time=optional_time_from_field(message, "effective_time"),
        state=enum_from_number(RateCardState, message.state),
        origin=message.origin,
        toml=message.toml,
    )
