"""boto3 and minio-py as clients of the benchmark's: those that know S3's operations by name, as this package does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from .bench_child_small import Peer, Told


class Boto3(Peer):
    """boto3 with its default TransferConfig."""

    def __init__(self, order: dict[str, str]) -> None:
        import boto3

        self.client: Any = boto3.client(
            "s3",
            order["region"],
            endpoint_url=order["endpoint"],
            aws_access_key_id=order["access_key"],
            aws_secret_access_key=order["secret_key"],
        )
        self.bucket = order["bucket"]

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object, as its guide to uploading files says."""
        return self.client.upload_fileobj(io.BytesIO(data), self.bucket, key)

    def put_small_alone(self, key: str, data: bytes) -> object:
        """Store a small object without the machinery for large ones."""
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get_small(self, key: str) -> bytes:
        """A small object's bytes."""
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file."""
        self.client.download_file(self.bucket, key, path)

    def put_memory(self, key: str) -> Told:
        """What is in memory, up: bytes, because BytesIO takes these, and no others, without a copy."""
        self.client.upload_fileobj(io.BytesIO(self.loaded), self.bucket, key)
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        with Path(path).open("rb") as file:
            self.client.upload_fileobj(file, self.bucket, key)
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down."""
        self.client.download_file(self.bucket, key, path)
        return {}


class MinioPy(Peer):
    """minio-py."""

    def __init__(self, order: dict[str, str]) -> None:
        from minio import Minio

        host = order["endpoint"].partition("://")[2]
        keys = order["access_key"], order["secret_key"]
        # By position the names of these differ between its versions.
        self.client: Any = Minio(host, access_key=keys[0], secret_key=keys[1], secure=False, region=order["region"])
        self.bucket = order["bucket"]

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object."""
        return self.client.put_object(self.bucket, key, io.BytesIO(data), len(data))

    def get_small(self, key: str) -> bytes:
        """A small object's bytes."""
        answer = self.client.get_object(self.bucket, key)
        try:
            data: bytes = answer.read()
        finally:
            answer.close()
            answer.release_conn()
        return data

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file."""
        self.client.fget_object(self.bucket, key, path)

    def put_memory(self, key: str) -> Told:
        """What is in memory, up: bytes, because BytesIO takes these, and no others, without a copy."""
        self.client.put_object(self.bucket, key, io.BytesIO(self.loaded), len(self.loaded))
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        self.client.fput_object(self.bucket, key, path)
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down."""
        self.client.fget_object(self.bucket, key, path)
        return {}
