"""Move files to and from S3-compatible object storage over `requests`, signed with AWS Signature Version 4.

    manager = CDNManager(CDNCredentials(host, read_key, read_secret, write_key, write_secret))
    manager.upload("models", "yolo.onnx", data)     # True, or False with the error printed
    manager.download("models", "yolo.onnx")         # saves ./yolo.onnx, whole or not at all

`S3Client` is what lies below: the operations of S3 under one credential, values and typed errors. `SigV4Auth` signs
any `requests` call for any AWS-style service. Importing this package does not import `requests`; the first request
does.

In signatures `Source` is a bytes-like object, a binary file or an iterable of bytes; `Progress` is called with the
bytes done and the bytes in all (None: not known yet); `AnyPath` is text or an `os.PathLike`. What can go wrong is one
tree: `help(cdn_sigv4.CDNError)`.
"""

from .answers import ListedObject, ObjectInfo
from .auth import SigV4Auth
from .client import S3Client
from .credentials import Credentials
from .errors import (
    AccessDenied,
    CDNError,
    ClockError,
    CredentialsError,
    IntegrityError,
    InvalidResponse,
    NotFound,
    NotModified,
    ObjectChanged,
    OutcomeUnknown,
    PreconditionFailed,
    RedirectRefused,
    ResponseError,
    SourceError,
    TransportError,
)
from .manager import CDNCredentials, CDNManager
from .progress import ProgressBar
from .reader import ObjectReader
from .result import TransferResult
from .retry import Event, Retry

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "CDNCredentials",
    "CDNError",
    "CDNManager",
    "ClockError",
    "Credentials",
    "CredentialsError",
    "Event",
    "IntegrityError",
    "InvalidResponse",
    "ListedObject",
    "NotFound",
    "NotModified",
    "ObjectChanged",
    "ObjectInfo",
    "ObjectReader",
    "OutcomeUnknown",
    "PreconditionFailed",
    "ProgressBar",
    "RedirectRefused",
    "ResponseError",
    "Retry",
    "S3Client",
    "SigV4Auth",
    "SourceError",
    "TransferResult",
    "TransportError",
    "__version__",
]
