"""The checksums, against values that Amazon SQS was seen to give."""

from __future__ import annotations

import pytest

from busframe_emulator.api.md5 import md5_of_attributes, md5_of_body
from busframe_emulator.engine.requests import MessageAttribute as Attribute

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
PARENT = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"


@pytest.mark.parametrize(
    ("attributes", "checksum"),
    [
        ({"Foo": Attribute("String", "Bar")}, "ae7155c6026991b6d54b11589678bf9c"),
        (
            {
                "Help.Me": Attribute("String", "Me"),
                "General": Attribute("String", "Kenobi"),
                "Hello": Attribute("String", "There"),
            },
            "4c360f3fdafd970e05fae2f149d997f5",
        ),
        ({"Hello": Attribute("String", "There")}, "a311262e065454b75da111d535b8dacd"),
        ({"timestamp": Attribute("Number", "1493147359900")}, "235c5c510d26fb653d073faed50ae77c"),
        ({"attr1": Attribute("Binary", PARENT)}, "8cbe4db156db8a94db8b801b7addb984"),
        ({"AWSTraceHeader": Attribute("String", TRACE)}, "5ae4d5d7636402d80f4eb6d213245a88"),
        (
            {
                "a": Attribute("Binary.png", b"\x00\xff"),
                "b": Attribute("Number.int", "42"),
                "C": Attribute("String.json", '{"x":1}'),
            },
            "38cbad521ffed2675a7949431d9395a3",
        ),
        ({"k": Attribute("String", "x")}, "a45daa70926828a2f0a1db3418e6feb4"),
    ],
)
def test_attributes_hash_as_amazon_hashes_them(attributes: dict[str, Attribute], checksum: str) -> None:
    assert md5_of_attributes(attributes) == checksum


@pytest.mark.parametrize(
    ("body", "checksum"),
    [("message", "78e731027d8fd50ed642340b7c9a63b3"), ("héllo", "be50e8478cf24ff3595bc7307fb91b50")],
)
def test_a_body_hashes_as_its_utf8(body: str, checksum: str) -> None:
    assert md5_of_body(body.encode()) == checksum
