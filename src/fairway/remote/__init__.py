"""The platform in another process or on another machine, reached over HTTP."""

from fairway.remote.platform import RemotePlatform
from fairway.remote.transport import Direct, Transport

__all__ = ["Direct", "RemotePlatform", "Transport"]
