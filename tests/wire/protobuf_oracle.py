"""A message with a field of each kind: our dataclass, and Google's class of the same schema."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from peerup.wire.protobuf import Tag


class Colour(enum.IntEnum):
    RED = 0
    GREEN = 1
    BLUE = 300


@dataclass(frozen=True, slots=True)
class Inner:
    number: Annotated[int | None, Tag(1)] = None
    text: Annotated[str, Tag(2)] = ""
    blobs: Annotated[tuple[bytes, ...], Tag(3)] = ()


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of each kind, declared out of order on purpose."""

    long_key: Annotated[int, Tag(2047)] = 0
    flag: Annotated[bool, Tag(1)] = False
    count: Annotated[int, Tag(2)] = 0
    maybe: Annotated[int | None, Tag(3)] = None
    colour: Annotated[Colour, Tag(4)] = Colour.RED
    data: Annotated[bytes, Tag(5)] = b""
    maybe_text: Annotated[str | None, Tag(6)] = None
    inner: Annotated[Inner | None, Tag(7)] = None
    many: Annotated[tuple[Inner, ...], Tag(8)] = ()
    nonce: Annotated[int, Tag(9, fixed64=True)] = 0
    numbers: Annotated[tuple[int, ...], Tag(10)] = ()
    nonces: Annotated[tuple[int, ...], Tag(11, fixed64=True)] = ()
    texts: Annotated[tuple[str, ...], Tag(16)] = ()


FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "flag": FIELD.TYPE_BOOL,
    "data": FIELD.TYPE_BYTES,
    "blobs": FIELD.TYPE_BYTES,
    "text": FIELD.TYPE_STRING,
    "maybe_text": FIELD.TYPE_STRING,
    "texts": FIELD.TYPE_STRING,
    "nonce": FIELD.TYPE_FIXED64,
    "nonces": FIELD.TYPE_FIXED64,
}
TAGS: dict[type[Any], dict[str, int]] = {
    Inner: {"number": 1, "text": 2, "blobs": 3},
    Everything: {
        "flag": 1, "count": 2, "maybe": 3, "colour": 4, "data": 5, "maybe_text": 6, "inner": 7,
        "many": 8, "nonce": 9, "numbers": 10, "nonces": 11, "texts": 16, "long_key": 2047,
    },
}  # fmt: skip
OPTIONAL = {"number", "maybe", "maybe_text"}
REPEATED = {"blobs", "many", "numbers", "nonces", "texts"}


def describe(proto: descriptor_pb2.DescriptorProto, tags: dict[str, int]) -> None:
    for name, number in tags.items():
        item = proto.field.add(name=name, number=number, label=FIELD.LABEL_OPTIONAL)
        item.type = SCALARS.get(name, FIELD.TYPE_UINT64)
        if name in {"inner", "many"}:
            item.type, item.type_name = FIELD.TYPE_MESSAGE, ".oracle.Inner"
        if name == "colour":
            item.type, item.type_name = FIELD.TYPE_ENUM, ".oracle.Colour"
        if name in REPEATED:
            item.label = FIELD.LABEL_REPEATED
        if name in {"numbers", "nonces"}:
            item.options.packed = False
        if name in OPTIONAL:
            item.proto3_optional = True
            item.oneof_index = len(proto.oneof_decl)
            proto.oneof_decl.add(name=f"_{name}")


def build_oracle() -> type[Message]:
    """Google's class for the message that ``Everything`` is."""
    file = descriptor_pb2.FileDescriptorProto(name="oracle.proto", package="oracle")
    file.syntax = "proto3"
    colours = file.enum_type.add(name="Colour")
    for colour in Colour:
        colours.value.add(name=colour.name, number=colour.value)
    for cls in (Inner, Everything):
        describe(file.message_type.add(name=cls.__name__), TAGS[cls])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("oracle.Everything"))


ORACLE = build_oracle()


def to_oracle(value: Any, message: Any) -> Any:
    """Fill Google's ``message`` from our ``value``."""
    for name in TAGS[type(value)]:
        item = getattr(value, name)
        if item is None:
            continue
        if name == "inner":
            message.inner.SetInParent()
            to_oracle(item, message.inner)
        elif name == "many":
            for one in item:
                to_oracle(one, message.many.add())
        elif name in REPEATED:
            getattr(message, name).extend(item)
        else:
            setattr(message, name, item)
    return message


def from_oracle(cls: type[Any], message: Any) -> Any:
    """Return our ``cls`` for Google's ``message``."""
    found: dict[str, Any] = {}
    for name in TAGS[cls]:
        value = getattr(message, name)
        if name == "inner":
            found[name] = from_oracle(Inner, value) if message.HasField(name) else None
        elif name == "many":
            found[name] = tuple(from_oracle(Inner, one) for one in value)
        elif name in REPEATED:
            found[name] = tuple(value)
        elif name in OPTIONAL:
            found[name] = value if message.HasField(name) else None
        else:
            found[name] = Colour(value) if name == "colour" else value
    return cls(**found)
