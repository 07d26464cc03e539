from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RateCardState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_CARD_STATE_UNSPECIFIED: _ClassVar[RateCardState]
    RATE_CARD_STATE_IN_FORCE: _ClassVar[RateCardState]
    RATE_CARD_STATE_SCHEDULED: _ClassVar[RateCardState]
    RATE_CARD_STATE_REPLACED: _ClassVar[RateCardState]
    RATE_CARD_STATE_WITHDRAWN: _ClassVar[RateCardState]
RATE_CARD_STATE_UNSPECIFIED: RateCardState
RATE_CARD_STATE_IN_FORCE: RateCardState
RATE_CARD_STATE_SCHEDULED: RateCardState
RATE_CARD_STATE_REPLACED: RateCardState
RATE_CARD_STATE_WITHDRAWN: RateCardState

class PublishRateCardRequest(_message.Message):
    __slots__ = ("toml", "validate_only")
    TOML_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    toml: str
    validate_only: bool
    def __init__(self, toml: _Optional[str] = ..., validate_only: bool = ...) -> None: ...

class PublishRateCardResponse(_message.Message):
    __slots__ = ("rate_card", "warnings")
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    rate_card: RateCard
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rate_card: _Optional[_Union[RateCard, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class RateCard(_message.Message):
    __slots__ = ("rate_card", "revision", "title", "effective_time", "state", "origin", "toml")
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TOML_FIELD_NUMBER: _ClassVar[int]
    rate_card: str
    revision: str
    title: str
    effective_time: _timestamp_pb2.Timestamp
    state: RateCardState
    origin: str
    toml: str
    def __init__(self, rate_card: _Optional[str] = ..., revision: _Optional[str] = ..., title: _Optional[str] = ..., effective_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[RateCardState, str]] = ..., origin: _Optional[str] = ..., toml: _Optional[str] = ...) -> None: ...

class ListRateCardsRequest(_message.Message):
    __slots__ = ("rate_card", "with_toml", "page_size", "page_token")
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    WITH_TOML_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rate_card: str
    with_toml: bool
    page_size: int
    page_token: str
    def __init__(self, rate_card: _Optional[str] = ..., with_toml: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRateCardsResponse(_message.Message):
    __slots__ = ("rate_cards", "next_page_token")
    RATE_CARDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rate_cards: _containers.RepeatedCompositeFieldContainer[RateCard]
    next_page_token: str
    def __init__(self, rate_cards: _Optional[_Iterable[_Union[RateCard, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WithdrawRateCardRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: str
    def __init__(self, revision: _Optional[str] = ...) -> None: ...

class WithdrawRateCardResponse(_message.Message):
    __slots__ = ("rate_card",)
    RATE_CARD_FIELD_NUMBER: _ClassVar[int]
    rate_card: RateCard
    def __init__(self, rate_card: _Optional[_Union[RateCard, _Mapping]] = ...) -> None: ...
