"""The mark of generated media: machines read that a model drew part of a picture.

Rules for synthetic media ask for a machine-readable mark. This one is IPTC's digital source
type `compositeWithTrainedAlgorithmicMedia`, as an XMP packet: a filmed picture in which a
trained model has drawn a part.

References
----------
IPTC NewsCodes, Digital Source Type, and IPTC Photo Metadata Standard, Iptc4xmpExt; ISO 16684-1
(XMP); XMP Specification Part 3 (its place in JPEG and ISO base media files).
"""

from __future__ import annotations

__all__ = ["JPEG_SEGMENT", "MP4_BOX", "SOURCE_TYPE", "XMP"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
# Constant to the byte, so that equal pictures stay equal files.
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
).encode()

_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
# APP1, which stands directly behind APP0 in a JPEG; its length counts itself.
JPEG_SEGMENT = b"\xff\xe1" + (2 + len(_NAMESPACE) + len(XMP)).to_bytes(2, "big") + _NAMESPACE + XMP

_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
# A top-level box of an ISO base media file.
MP4_BOX = (8 + len(_UUID) + len(XMP)).to_bytes(4, "big") + b"uuid" + _UUID + XMP
