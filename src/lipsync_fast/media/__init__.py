"""Files in and out: sound, video, images; PyAV (extra ``video``) is loaded when first needed."""

from .images import JpegFolder, list_images, read_image, read_images
from .pipes import is_pipe_out
from .pyav import require_file
from .sound_in import SAMPLE_RATE, AudioSource, duration, load_audio
from .video_in import VideoReader
from .video_out import H264Options, VideoWriter

__all__ = [
    "SAMPLE_RATE",
    "AudioSource",
    "H264Options",
    "JpegFolder",
    "VideoReader",
    "VideoWriter",
    "duration",
    "is_pipe_out",
    "list_images",
    "load_audio",
    "read_image",
    "read_images",
    "require_file",
]
