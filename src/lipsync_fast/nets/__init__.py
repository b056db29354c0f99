"""ONNX models in general, models by role (generators, audio encoders), and their devices."""

from . import graph as graph  # a package of its own: lf.graph
from .devices import Device, least_busy
from .encoders import AudioEncoder, HubertEncoder, WenetEncoder
from .generator import Generator
from .net import Net
from .opening import AnyGenerator
from .options import DeviceOptions, Tensor
from .resident import ResidentGenerator

__all__ = [
    "AnyGenerator",
    "AudioEncoder",
    "Device",
    "DeviceOptions",
    "Generator",
    "HubertEncoder",
    "Net",
    "ResidentGenerator",
    "Tensor",
    "WenetEncoder",
    "least_busy",
]
