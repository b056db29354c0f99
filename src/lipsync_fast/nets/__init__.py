"""Any ONNX net, then the nets by role: generators and audio encoders."""

from .generator import AudioEncoder, Generator
from .net import Net

__all__ = ["AudioEncoder", "Generator", "Net"]
