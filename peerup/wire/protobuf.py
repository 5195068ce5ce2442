"""Protocol buffers from annotated dataclasses: what the libp2p messages need, and no more.

A message is a frozen dataclass whose fields carry a ``Tag``::

    @dataclass(frozen=True, slots=True)
    class HolePunch:
        type: Annotated[HolePunchType, Tag(1)]
        obs_addrs: Annotated[tuple[bytes, ...], Tag(2)] = ()

================================  ==========================================================
``X`` without a default           required: always written, even when zero; missing is an error
``X | None = None``               optional with presence: written unless None
``X`` with another default        written unless equal to the default, which is what absent means
``X`` with a default, ``always``  the same to a reader, but always written
``tuple[X, ...] = ()``            repeated
================================  ==========================================================

``X`` is ``int`` (uint64; ``fixed64`` if its tag says so), ``bool``, an ``IntEnum``, ``bytes``,
``str`` or another message. Encoding is canonical: fields in ascending order, shortest varints,
nothing unknown, so that equal messages have equal bytes and may be hashed and signed.

Decoding does what the encoding guide asks for: fields of unknown number or unexpected wire type
are skipped, the last of several scalars wins, several occurrences of a message are merged. It is
stricter where leniency serves nobody: groups, integers above 64 bits, unknown enum values and
bad UTF-8 are errors. Messages nest as deep as their classes do; recursive ones are not supported.

Spec: protobuf.dev, "Encoding".
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from peerup.errors import LimitError, RemoteProtocolError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

M = TypeVar("M", bound="DataclassInstance")

MAX_REPEATED: Final = 1024  # values of one repeated field; libp2p messages hold far fewer
MAX_FIELD_NUMBER: Final = (1 << 29) - 1

_MAX_UINT64: Final = (1 << 64) - 1
_MAX_VARINT_BYTES: Final = 10  # 64 bits; unlike a multiformats varint it may be padded

_VARINT: Final = 0
_FIXED64: Final = 1
_LEN: Final = 2
_FIXED32: Final = 5

_Values = dict[str, Any]
"""What was read of one message so far; a nested message is again such a dict."""


@dataclass(frozen=True, slots=True)
class Tag:
    """Number of a field, 1 to 2^29 - 1, and how it is written.

    ``fixed64`` makes an integer eight little-endian bytes. ``always`` writes a field even when
    it equals its default, for schemas that count on seeing it.
    """

    number: int
    _: KW_ONLY
    fixed64: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= MAX_FIELD_NUMBER:
            raise ValueError(f"{self.number} is not a field number")


def encode(message: DataclassInstance) -> bytes:
    """Return the canonical bytes of ``message``.

    Raises:
        ValueError: An integer is negative or needs more than 64 bits.
    """
    out = bytearray()
    for field in _plan(type(message)).fields:
        value = getattr(message, field.name)
        if field.repeated:
            for item in value:
                out += field.key
                out += field.codec.dump(item)
        elif value is not None and (field.always or value != field.default):
            out += field.key
            out += field.codec.dump(value)
    return bytes(out)


def decode(cls: type[M], data: bytes) -> M:
    """Return the ``cls`` that ``data`` encodes.

    Raises:
        RemoteProtocolError: The bytes are not a message, or not one of this class.
        LimitError: A repeated field has more than ``MAX_REPEATED`` values.
    """
    return merge(cls, (data,))


def merge(cls: type[M], parts: Iterable[bytes]) -> M:
    """Return the one ``cls`` that several encodings make together, each whole in itself.

    Scalars of later parts replace those of earlier ones, repeated fields are appended.

    Raises:
        RemoteProtocolError: As for ``decode``; a required field may be in any part.
        LimitError: As for ``decode``, counting all parts.
    """
    plan = _plan(cls)
    values: _Values = {}
    for part in parts:
        plan.collect(part, values)
    message: M = plan.build(values)
    return message


# Nobody compares or prints the next three, and every command would wait for those methods.


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Codec:
    """How one type of value is written after its key, and made from what was read."""

    wire_type: int
    dump: Callable[[Any], bytes]
    load: Callable[[Any], Any]
    message: _Plan | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Field:
    """One field of a message, resolved from its annotation."""

    name: str
    key: bytes
    codec: _Codec
    repeated: bool
    always: bool
    default: Any  # MISSING for a required field, which no value equals

    def store(self, raw: Any, values: _Values) -> None:
        if self.repeated:
            self.extend((self.codec.load(raw),), values)
        elif self.codec.message is not None:
            self.codec.message.collect(raw, values.setdefault(self.name, {}))
        else:
            values[self.name] = self.codec.load(raw)

    def store_packed(self, raw: Any, values: _Values) -> None:
        """Take a repeated number in the form in which all values share one key."""
        offset = 0
        while offset < len(raw):
            number, offset = _take(self.codec.wire_type, raw, offset)
            self.extend((self.codec.load(number),), values)

    def extend(self, items: Iterable[Any], values: _Values) -> None:
        stored = values.setdefault(self.name, [])
        stored.extend(items)
        if len(stored) > MAX_REPEATED:
            raise LimitError(f"protobuf: more than {MAX_REPEATED} values of {self.name}")

    def build(self, value: Any) -> Any:
        message = self.codec.message
        if self.repeated:
            return tuple(value) if message is None else tuple(map(message.build, value))
        return value if message is None else message.build(value)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Plan:
    """What the annotations of one message class say, worked out once."""

    cls: type[Any]
    fields: tuple[_Field, ...]  # ascending numbers
    readers: dict[int, Callable[[Any, _Values], None]]  # by key: field number and wire type

    def collect(self, data: bytes, values: _Values) -> None:
        """Add what ``data`` holds to ``values``."""
        offset, end = 0, len(data)
        while offset < end:
            key, offset = _take_varint(data, offset)
            if not 1 <= key >> 3 <= MAX_FIELD_NUMBER:
                raise RemoteProtocolError(f"protobuf: {key >> 3} is not a field number")
            raw, offset = _take(key & 7, data, offset)
            reader = self.readers.get(key)
            if reader is not None:
                reader(raw, values)

    def build(self, values: _Values) -> Any:
        """Return the message; an absent field gets its default."""
        found = {}
        for field in self.fields:
            if field.name in values:
                found[field.name] = field.build(values[field.name])
            elif field.default is MISSING:
                raise RemoteProtocolError(f"{self.cls.__name__} without {field.name}")
        return self.cls(**found)


@functools.cache
def _plan(cls: type[Any]) -> _Plan:
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    hints = typing.get_type_hints(cls, include_extras=True)
    tagged = []
    for item in fields(cls):
        if typing.get_origin(hints[item.name]) is not typing.Annotated:
            raise TypeError(f"{cls.__name__}.{item.name} has no Tag")
        hint, tag = typing.get_args(hints[item.name])[:2]
        tagged.append((tag.number, _field(item.name, hint, tag, item.default)))
    tagged.sort(key=lambda pair: pair[0])
    readers: dict[int, Callable[[Any, _Values], None]] = {}
    for number, field in tagged:
        wire_type = field.codec.wire_type
        if field.repeated and wire_type != _LEN:
            readers[number << 3 | _LEN] = field.store_packed
        readers[number << 3 | wire_type] = field.store
    if len({number for number, _ in tagged}) != len(tagged):
        raise TypeError(f"{cls.__name__} uses a field number twice")
    return _Plan(cls, tuple(field for _, field in tagged), readers)


def _field(name: str, hint: Any, tag: Tag, default: Any) -> _Field:
    repeated = typing.get_origin(hint) is tuple
    if repeated:
        hint = typing.get_args(hint)[0]
    elif isinstance(hint, types.UnionType):
        if default is not None:
            raise TypeError(f"{name} is optional, so its default must be None")
        (hint,) = (arg for arg in typing.get_args(hint) if arg is not types.NoneType)
    codec = _codec(hint, tag)
    key = _varint(tag.number << 3 | codec.wire_type)
    if repeated:
        default = ()
    return _Field(name, key, codec, repeated, tag.always or default is MISSING, default)


def _codec(kind: Any, tag: Tag) -> _Codec:
    if tag.fixed64:
        return _Codec(_FIXED64, _dump_fixed64, int)
    if is_dataclass(kind) and isinstance(kind, type):
        return _message_codec(kind)
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        return _Codec(_VARINT, _varint, functools.partial(_load_enum, kind))
    codec = _SCALARS.get(kind)
    if codec is None:
        raise TypeError(f"{kind!r} cannot be in a message")
    return codec


def _message_codec(cls: type[DataclassInstance]) -> _Codec:
    plan = _plan(cls)

    def load(raw: bytes) -> _Values:
        values: _Values = {}
        plan.collect(raw, values)
        return values

    return _Codec(_LEN, lambda message: _prefixed(encode(message)), load, plan)


def _take(wire_type: int, data: bytes, offset: int) -> tuple[int | bytes, int]:
    """Return the value at ``offset`` as it is on the wire, and the offset after it."""
    if wire_type == _VARINT:
        return _take_varint(data, offset)
    if wire_type == _LEN:
        size, offset = _take_varint(data, offset)
    elif wire_type == _FIXED64:
        size = 8
    elif wire_type == _FIXED32:
        size = 4
    else:
        raise RemoteProtocolError(f"protobuf: wire type {wire_type} is not supported")
    end = offset + size
    if end > len(data):
        raise RemoteProtocolError("protobuf: a field runs past the end")
    value = data[offset:end]
    return (int.from_bytes(value, "little") if wire_type == _FIXED64 else value), end


def _take_varint(data: bytes, offset: int) -> tuple[int, int]:
    if offset < len(data) and (byte := data[offset]) < 0x80:
        return byte, offset + 1
    value = shift = 0
    for position in range(offset, min(len(data), offset + _MAX_VARINT_BYTES)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _MAX_UINT64:
                break
            return value, position + 1
        shift += 7
    raise RemoteProtocolError("protobuf: a varint is cut short or above 64 bits")


def _varint(value: int) -> bytes:
    if not 0 <= value <= _MAX_UINT64:
        raise ValueError(f"{value} does not fit into 64 bits")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _dump_fixed64(value: int) -> bytes:
    if not 0 <= value <= _MAX_UINT64:
        raise ValueError(f"{value} does not fit into 64 bits")
    return value.to_bytes(8, "little")


def _prefixed(value: bytes) -> bytes:
    return _varint(len(value)) + value


def _load_enum(kind: type[enum.IntEnum], raw: int) -> enum.IntEnum:
    try:
        return kind(raw)
    except ValueError:
        raise RemoteProtocolError(f"protobuf: {raw} is not a {kind.__name__}") from None


def _load_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("protobuf: a string is not UTF-8") from None


_SCALARS: Final = {
    int: _Codec(_VARINT, _varint, int),
    bool: _Codec(_VARINT, _varint, bool),
    bytes: _Codec(_LEN, _prefixed, bytes),
    str: _Codec(_LEN, lambda text: _prefixed(text.encode()), _load_text),
}
