from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.voc import thing, xml
from trainworthy_audit.formats.shared.voc_xml import parse


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fuzzed_xml_never_raises(data: st.DataObject) -> None:
    """Whatever bytes replace, cut or join an xml, reading it ends in boxes or problems."""
    content = bytearray(
        xml(thing(), thing(name="dog"), filename="a.jpg", size="<size><width>9</width></size>").encode()
    )
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=12))
    made = parse("a.xml", bytes(content))
    assert made.foreign or made.problems or made.boxes or b"<object>" not in content or made.box_count == 0


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Random bytes are never VOC, and never an error."""
    made = parse("a.xml", content)
    assert made.broken or made.foreign
