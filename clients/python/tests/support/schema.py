"""The API by its descriptors, so that a service, method or field that is added is tested too."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from creditd import v1


def _services() -> Iterator[ServiceDescriptor]:
    for module in pkgutil.iter_modules(v1.__path__):
        if module.name.endswith("_pb2"):
            file = import_module(f"{v1.__name__}.{module.name}").DESCRIPTOR
            yield from file.services_by_name.values()


SERVICES = list(_services())
METHODS: dict[str, MethodDescriptor] = {
    method.name: method for service in SERVICES for method in service.methods
}
# Those that answer once.
UNARY = [name for name, method in METHODS.items() if not method.server_streaming]
# Those whose replies say whether they are a replay.
WRITES = [
    name for name, method in METHODS.items() if "replayed" in method.output_type.fields_by_name
]


# Fields that replies alone have.
OUTPUT_ONLY = {
    "creditd.v1.Account.create_time",
    "creditd.v1.Account.balance",
    "creditd.v1.Key.key_id",
    "creditd.v1.Key.create_time",
    "creditd.v1.Key.last_use_time",
    "creditd.v1.Key.revoke_time",
}


def request_fields(method: str) -> set[str]:
    """The names of the fields of a method's request."""
    return set(METHODS[method].input_type.fields_by_name)


def message_class(message: Descriptor) -> type[Message]:
    """The generated class of a message."""
    return GetMessageClass(message)


def is_map(field: FieldDescriptor) -> bool:
    """Whether it is a map, which counts as repeated too."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether it is a list or a map; newer releases of protobuf warn of `label`."""
    return isinstance(field.default_value, list)


def has_its_own_name(field: FieldDescriptor) -> bool:
    """Whether it is a message with a field of the same name, as `account` of Account."""
    return field.message_type is not None and field.name in field.message_type.fields_by_name


def masks(message: Descriptor) -> list[tuple[FieldDescriptor, FieldDescriptor]]:
    """The FieldMasks of a request, each with the message of which it names fields."""
    updated = [field for field in message.fields if has_its_own_name(field)]
    found = [field for field in message.fields if field.message_type is FieldMask.DESCRIPTOR]
    return list(zip(found, updated, strict=True)) if found else []
