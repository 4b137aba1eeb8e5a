"""`doctor` on a real server: what it says of two users, right and wrong, and that it leaves nothing.

What it says of the way there, and of stores that misbehave, is in test_doctor_ground.py and test_doctor_store.py.
"""

import secrets

import conftest
import pytest
from kit import lead_to
from kit_doctor import examined, settings

from cdn_sigv4 import Credentials, S3Client, doctor, multipart
from cdn_sigv4.answers import parse_xml
from cdn_sigv4.s3 import Request
from cdn_sigv4.settings import UsageError
from cdn_sigv4.source import open_body
from harness import minio_server

RIGHT = "may not, as it should be"
SWAPPED = "warning uploader, failed uploader, failed downloader, warning downloader, failed keys, skipped checksums"


def uploads_left(client, bucket, key):
    """The ids of the uploads to this key that are under way; MinIO tells those of one key alone."""
    request = Request("GET", bucket, query={"uploads": "", "prefix": key})
    parse = lambda _, text: parse_xml(text, "ListMultipartUploadsResult").findall("Upload")  # noqa: E731
    return [each.findtext("UploadId") for each in client._exchange.ask(request, parse)]


class Room:
    """A bucket of the test's own with one object, its two users, and the keys to which uploads were begun."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.bucket, self.tried = f"cdn-doctor-{secrets.token_hex(6)}", []
        client.create_bucket(self.bucket)
        client.put_object(self.bucket, "a/key", b"x")
        self.up, self.down = (Credentials(each.access_key, each.secret_key) for each in server.make_users(self.bucket))
        self.root = Credentials(server.root_access_key, server.root_secret_key)

    def settings(self, up=None, down=None, **options):
        return settings(self.server.endpoint, up or self.up, down or self.down, region=self.server.region, **options)

    def levels(self, found):
        """Those of the findings, without what moto lacks: its list of parts bears another name than S3's."""
        if not self.server.is_minio:
            found.all = [each for each in found.all if each["tried"] != "list the parts of an upload"]
        return found.levels

    def keys(self):
        return [each.key for each in self.client.list_objects(self.bucket)]

    def begun(self):
        """The keys to which `doctor` began uploads; none of them is under way any more."""
        assert [uploads_left(self.client, self.bucket, key) for key in set(self.tried)] == [[]] * len(set(self.tried))
        return self.tried


@pytest.fixture
def room(root_client, server, monkeypatch):
    """Such a bucket, in which nothing is different in the end."""
    made = Room(server, root_client)
    real = multipart.create_request

    def noted(bucket, key, *args):
        made.tried.append(key)
        return real(bucket, key, *args)

    monkeypatch.setattr(multipart, "create_request", noted)
    yield made
    assert made.keys() == ["a/key"]
    made.begun()


@pytest.mark.minio
def test_an_upload_that_is_left_is_seen(room):
    """The judge of these tests finds an upload that is under way."""
    upload_id = room.client._exchange.ask(
        multipart.create_request(room.bucket, "x", {}, None), lambda _, text: multipart.created(text), open_body(b"")
    )
    assert uploads_left(room.client, room.bucket, "x") == [upload_id]
    with pytest.raises(AssertionError):
        room.begun()
    abort = multipart.abort_request(room.bucket, "x", upload_id, {})
    room.client._exchange.ask(abort, lambda *_: None, success=(204,))


@pytest.mark.parametrize("key", [None, "a/key"])
def test_all_is_well(room, capsys, key):
    """With the two users of the README nothing is to be done; uploads are tried in the folder of the object named."""
    found = examined(capsys, room.settings(), room.bucket, key)
    assert room.levels(found) == ""
    assert found.code == 0
    assert found.said("uploader", "sign") == found.said("downloader", "sign") == ("ok", "key and secret are accepted")
    assert found.said("uploader", "read") == found.said("downloader", "write") == ("ok", RIGHT)
    assert found.said("uploader", "write") == found.said("downloader", "read") == ("ok", "may")
    assert len(room.begun()) == 4  # by the uploader three, of which two with a checksum; the downloader is refused
    folder = "a/" if key else ""
    assert all(each.startswith(f"{folder}cdn-doctor-") for each in room.tried)


@pytest.mark.minio
def test_all_of_minio(room, capsys):
    """MinIO lists the parts of an upload, and keeps both checksums: all is well."""
    found = examined(capsys, room.settings(), room.bucket)
    assert found.said("uploader", "parts") == ("ok", "may")
    assert found.said("checksums") == ("ok", "crc32 kept, sha256 kept")
    assert found.verdict["result"] == "all is well"


def test_the_two_exchanged(room, capsys):
    """Keys in each other's place: neither does its work, both may too much, and what has happened is guessed."""
    found = examined(capsys, room.settings(room.down, room.up), room.bucket, "a/key")
    assert room.levels(found) == SWAPPED
    assert found.code == 1
    assert found.said("downloader", "write") == ("warning", "may, and should not")
    assert "take s3:PutObject away" in found.of("downloader", "write")["advice"]
    assert "exchanged" in found.of("keys")["advice"]
    assert found.verdict["result"].startswith("3 failed, 2 to look at, 1 skipped; the cause is keys, compare the two ")
    assert found.verdict["advice"] == found.of("keys")["advice"]


def test_one_key_for_both(room, capsys):
    """The same key twice is looked at once: a warning, and no failure where it may both."""
    found = examined(capsys, room.settings(room.root, room.root), room.bucket)
    assert room.levels(found) == "warning keys"
    assert found.code == 0
    assert found.said("both", "read") == found.said("both", "write") == found.said("both", "list cdn") == ("ok", "may")
    assert found.verdict["level"] == "warning"


def test_root_for_the_downloader(room, capsys):
    """A downloader that may do everything breaks least privilege: one warning, since it may do its work."""
    found = examined(capsys, room.settings(down=room.root), room.bucket)
    assert room.levels(found) == "warning downloader"
    assert found.said("downloader", "write") == ("warning", "may, and should not")


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (lambda room: Credentials("nobody-knows-it", "some-secret"), "InvalidAccessKeyId"),
        (lambda room: Credentials(room.down.access_key, "wrong-secret"), "SignatureDoesNotMatch"),
        (lambda room: Credentials(room.down.access_key, room.down.secret_key, "token"), "InvalidTokenId"),
    ],
)
@pytest.mark.minio
def test_a_key_that_is_refused(room, capsys, keys, code, monkeypatch):
    """An unknown key, a wrong secret or a token too many: one failure with the store's word, and no cascade."""
    given = room.settings()
    given._keys["downloader"] = keys(room)
    found = examined(capsys, given, room.bucket, "a/key")
    assert found.levels == "failed downloader, skipped downloader"
    assert code in found.of("downloader", "sign")["result"]
    assert found.of("downloader", "sign")["advice"]
    assert found.said("uploader", "write") == ("ok", "may")
    assert found.verdict["advice"] == found.of("downloader", "sign")["advice"]


@pytest.mark.minio
def test_no_such_bucket(room, capsys):
    """Root is told that there is no such bucket; whoever may only something in another one, that it may nothing."""
    found = examined(capsys, room.settings(down=room.root), "cdn-doctor-nowhere")
    assert found.levels == "failed uploader, failed downloader, skipped checksums"
    assert found.said("downloader", "bucket") == ("failed", "there is no bucket cdn-doctor-nowhere")
    assert "bucket's name" in found.of("uploader", "write")["advice"]


def test_no_such_object(room, capsys):
    """An object that is not there is said to be missing, where the store tells."""
    found = examined(capsys, room.settings(down=room.root), room.bucket, "a/missing")
    assert found.said("downloader", "read") == ("failed", "may, but there is no such object")


def test_no_bucket_named(room, capsys):
    """Without a bucket it is seen whether the keys are accepted, and the rest asks for one."""
    found = examined(capsys, room.settings(down=Credentials(room.down.access_key, "wrong-secret")), None)
    assert found.levels == "failed downloader, skipped rights"
    assert found.said("uploader", "sign") == ("ok", "key and secret are accepted")
    assert "BUCKET" in found.of("rights")["advice"]


@pytest.mark.minio
def test_no_keys(server, capsys):
    """Without keys the way to the store is looked at, and the missing names of the environment are told."""
    found = examined(capsys, settings(server.endpoint, None, None), "bucket")
    assert found.levels == "skipped uploader, skipped downloader, skipped region, skipped checksums"
    assert found.code == 0
    assert "CDN_UPLOADER_ACCESS_KEY and CDN_UPLOADER_ACCESS_SECRET" in found.of("uploader")["advice"]


@pytest.mark.minio
def test_anonymous(room, capsys):
    """Asked without a key: what everybody may, which in a bucket of one's own is nothing."""
    found = examined(capsys, room.settings(anonymous=True), room.bucket, "a/key")
    assert found.said("anonymous", "read")[0] == "failed"
    assert "everybody" in found.of("anonymous", "read")["advice"]
    assert found.said("anonymous", "write") == ("ok", RIGHT)


def test_round_trip(room, capsys):
    """What was asked for is written, read and compared; it stays, and is named; a second run does not replace it."""
    given = room.settings()
    found = examined(capsys, given, room.bucket, "a/key", write="a/trip")
    assert room.keys() == ["a/key", "a/trip"]
    assert room.levels(found) == ""
    assert found.said("round trip", "download")[1].startswith("the same bytes, ")
    assert found.said("round trip", "again") == ("ok", "refused, as it should be")
    assert f"{room.bucket}/a/trip" in found.of("round trip", "left")["result"]
    with room.client.get_object(room.bucket, "a/trip") as reader:
        before = reader.read()
    again = examined(capsys, given, room.bucket, "a/key", write="a/trip")
    assert room.levels(again) == "failed round trip"
    assert "nothing was written" in again.of("round trip")["result"]
    with room.client.get_object(room.bucket, "a/trip") as reader:
        assert reader.read() == before
    room.client.delete_object(room.bucket, "a/trip")


@pytest.mark.minio
def test_round_trip_unseen(room, capsys):
    """Where the downloader may not look, the condition alone keeps the object that is there."""
    third = room.server.make_users("cdn-doctor-elsewhere").downloader
    elsewhere = Credentials(third.access_key, third.secret_key)
    found = examined(capsys, room.settings(down=elsewhere), room.bucket, write="a/key")
    assert found.said("round trip") == ("failed", "there is an object of this name already: nothing was written")
    with room.client.get_object(room.bucket, "a/key") as reader:
        assert reader.read() == b"x"


@pytest.mark.minio
def test_another_region(server, capsys, monkeypatch):
    """A store in another region: which one is told, and all else works, since the client learns it."""
    monkeypatch.setattr(minio_server, "SETTINGS", {**minio_server.SETTINGS, "MINIO_SITE_REGION": "eu-west-7"})
    with conftest.own_minio(server) as started:
        own = started.server
        root = Credentials(own.root_access_key, own.root_secret_key)
        with S3Client(own.endpoint, root, region="eu-west-7") as client:
            client.create_bucket("bucket")
            up, down = (Credentials(each.access_key, each.secret_key) for each in own.make_users("bucket"))
        found = examined(capsys, settings(own.endpoint, up, down))
        assert found.levels == "warning region"
        assert found.said("region") == ("warning", "the store wants eu-west-7")
        assert "--region eu-west-7" in found.of("region")["advice"]
        found = examined(capsys, settings(own.endpoint, up, down, region="eu-west-7"))
        assert found.levels == ""


@pytest.mark.minio
@pytest.mark.parametrize("domain", ["store.test", ""])
def test_addressing(server, capsys, monkeypatch, domain):
    """Whether the bucket may stand in the host's name is found out where that name resolves, in both settings."""
    monkeypatch.setattr(minio_server, "SETTINGS", {**minio_server.SETTINGS, "MINIO_DOMAIN": domain})
    with conftest.own_minio(server) as started:
        own = started.server
        with S3Client(own.endpoint, Credentials(own.root_access_key, own.root_secret_key)) as client:
            client.create_bucket("bucket")
        up, down = (Credentials(each.access_key, each.secret_key) for each in own.make_users("bucket"))
        host, started.port = "http://store.test:9000", int(own.endpoint.rpartition(":")[2])
        lead_to(monkeypatch, started, "store.test")
        found = examined(capsys, settings(host, up, down))
        assert found.said("addressing")[0] == "ok"
        assert "cannot be: there is no bucket.store.test" in found.of("addressing")["result"]
        lead_to(monkeypatch, started, "store.test", "bucket.store.test")
        found = examined(capsys, settings(host, up, down))
        assert found.said("addressing")[0] == "ok"
        virtual = examined(capsys, settings(host, up, down, addressing="virtual"))
        if domain:
            assert "works; the other way (in the host's name) does as well" in found.of("addressing")["result"]
            assert virtual.levels == ""
            assert "works; the other way (in the path) does as well" in virtual.of("addressing")["result"]
        else:
            assert "works; the other way (in the host's name) does not" in found.of("addressing")["result"]
            assert "failed addressing" in virtual.levels
            assert virtual.verdict["advice"] == "Set --addressing path."


@pytest.mark.minio
def test_over_tls(secure_minio, capsys):
    """Over TLS it is told until when the certificate is valid, and by whom it was issued."""
    own, ca_file = secure_minio
    with S3Client(own.endpoint, Credentials(own.root_access_key, own.root_secret_key), verify=ca_file) as client:
        client.create_bucket("bucket")
    up, down = (Credentials(each.access_key, each.secret_key) for each in own.make_users("bucket"))
    found = examined(capsys, settings(own.endpoint, up, down, verify=ca_file))
    assert found.levels == "warning tls"  # a day is left
    assert "(0 days), issued by authority" in found.of("tls")["result"]
    found = examined(capsys, settings(own.endpoint, up, down))
    assert found.levels == "failed tls, skipped the rest"
    assert "--ca-file" in found.verdict["advice"]


def test_for_people(room, capsys):
    """Without JSON each finding is a line, what to do a second one below it; the last names the first cause."""
    assert doctor.run(room.settings(room.down, room.down), room.bucket, "a/key") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok       programs    versions: ")
    at = lines.index(next(line for line in lines if line.startswith("failed   both ")))
    assert lines[at + 1].startswith(" " * 21 + "-> Allow this key s3:PutObject")
    assert lines[-2].startswith("failed   verdict     ")


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ({"bucket": "No_Bucket"}, {}, "no bucket name"),
        ({"bucket": "bucket", "key": ""}, {}, "a key has"),
        ({"bucket": "bucket", "write": "\0"}, {}, "NUL"),
        ({"bucket": None, "write": "key"}, {}, "name it"),
        ({"bucket": None}, {"addressing": "virtual"}, "IP address"),
        ({"bucket": None}, {"verify": "/nowhere/ca.pem"}, "does not exist"),
    ],
)
def test_wrong_use(arguments, options, text, capsys):
    """What cannot be tried is a UsageError before anything is printed or sent."""
    with pytest.raises(UsageError, match=text):
        doctor.run(settings("http://127.0.0.1:1", **options), **arguments)
    assert capsys.readouterr().out == ""
