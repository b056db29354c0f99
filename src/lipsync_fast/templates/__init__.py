"""A prepared person, in memory and as a folder of plain files."""

from .jpeg_backgrounds import JpegSettings
from .options import TemplateOptions
from .template import Template
from .writer import TemplateWriter

__all__ = ["JpegSettings", "Template", "TemplateOptions", "TemplateWriter"]
