"""What `doctor` says of stores that are not as they should be: their clock, rights, checksums, conditions and words."""

import base64
import dataclasses
import datetime as dt
import io
import sys
import zlib

import pytest
from kit import BUCKET, READ_KEY, WRITE_KEY
from kit_doctor import ALLOWED, Policed, examined, serving, settings
from rawserver import Answer

from cdn_sigv4 import Credentials, doctor, findings, multipart

MAY_NOT = Answer(403, body=b"<Error><Code>AccessDenied</Code></Error>")
NOT_KNOWN = Answer(501, body=b"<Error><Code>NotImplemented</Code><Message>no such header</Message></Error>")
BROKEN = Answer(500, body=b"<Error><Code>InternalError</Code></Error>")
RESET = Answer(reset=True)


@pytest.fixture
def look(capsys):
    """What is found of a small store."""

    def looked(policed, key=None, write=None, **options):
        with serving(policed) as server:
            return examined(capsys, settings(server.endpoint, **options), BUCKET, key, write=write)

    return looked


def always(answer):
    """The same instead of each answer."""
    return lambda request, own: answer


def test_a_small_store(look):
    """With nothing wrong there is nothing to do, and nothing is left."""
    policed = Policed()
    found = look(policed)
    assert found.levels == ""
    assert policed.store.uploads == {}
    assert policed.store.objects == {}
    assert [name for user, name in policed.names if user == READ_KEY] == ["GET", "LIST", "create"]


# -- the clock and the region


@pytest.mark.parametrize(
    ("off", "levels", "text"),
    [
        (30, "", "s apart"),
        (-30, "", "s apart"),
        (300, "warning clock", "this machine's is 5 minutes behind the store's"),
        (-3600 * 3, "warning clock", "this machine's is 3 hours ahead of the store's"),
        (86400 * 40, "warning clock", "this machine's is 40 days behind the store's"),
    ],
)
def test_clock(off, levels, text, look):
    """A clock that is off by more than a minute is told; from 15 minutes on, that the client gets on all the same."""
    policed = Policed(clock=lambda: dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=off))
    found = look(policed)
    assert found.levels == levels
    assert text in found.of("clock")["result"]
    assert ("corrects it by itself" in (found.of("clock")["advice"] or "")) == (abs(off) > 900)
    assert found.said("uploader", "write") == ("ok", "may")


def test_a_store_without_time(look):
    """A store that does not say its time is no failure."""
    policed = Policed()
    policed.instead["first"] = lambda _, own: dataclasses.replace(own, headers={"x-amz-request-id": "1"})
    assert look(policed).levels == "warning clock"


def test_a_region_that_is_named(look):
    """A region that is named in the first answer is told."""
    policed = Policed()
    policed.instead["first"] = lambda _, own: dataclasses.replace(
        own, headers={**dict(own.headers), "x-amz-bucket-region": "eu-west-7"}
    )
    assert look(policed).said("region") == ("warning", "the store wants eu-west-7")


def test_a_region_that_is_learnt(look):
    """One that is named in an error's document alone is heard of from the client, which learns it."""
    policed = Policed(region="eu-west-7")
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-7</Region></Error>"
    told = Answer(
        400, headers={"x-amz-request-id": "1", "Date": dt.datetime.now(dt.timezone.utc).isoformat()}, body=body
    )
    policed.instead["GET"] = lambda request, own: told if "us-east-1" in request.header("authorization") else own
    found = look(policed)
    assert found.levels == "warning region"
    assert found.said("region") == ("warning", "the store wants eu-west-7")


# -- rights


@pytest.mark.parametrize(("server", "levels"), [("MinIO", "failed downloader"), ("other", "skipped downloader")])
def test_what_only_an_object_can_tell(server, levels, look):
    """A refusal of what is not there tells of a right on MinIO alone; elsewhere an object is asked for."""
    policed = Policed({READ_KEY: ()})
    policed.instead["first"] = lambda _, own: dataclasses.replace(own, headers={**dict(own.headers), "Server": server})
    assert look(policed).levels == levels
    policed.store.put(BUCKET, "key", b"x")
    assert look(policed, "key").levels == "failed downloader"


def test_lists(look):
    """Who may list is told so; nobody must."""
    policed = Policed({READ_KEY: ("GET", "LIST")})
    found = look(policed)
    assert found.levels == ""
    assert found.said("downloader", "list bucket") == ("ok", "may")


def test_parts_that_are_not_listed(look):
    """An uploader that may not list parts cannot go on with an upload."""
    found = look(Policed({WRITE_KEY: ("create", "abort", "PUT")}))
    assert found.levels == "warning uploader"
    assert "--resume" in found.of("uploader", "parts")["advice"]
    assert "s3:ListMultipartUploadParts" in found.of("uploader", "parts")["advice"]


def test_parts_that_are_listed_in_another_form(look):
    """Where it is the store that cannot list parts, no right is advised."""
    policed = Policed()
    policed.instead["list"] = always(Answer(200, body=b"<ListPartsResponse/>"))
    found = look(policed)
    assert found.levels == "warning uploader"
    assert (
        found.of("uploader", "parts")["advice"]
        == "An upload that was stopped is sent anew (--resume), as long as that stays so."
    )


@pytest.mark.parametrize("fails", ["may not", "500"])
def test_an_upload_that_stays(fails, look):
    """Where the upload cannot be aborted it is named, with its end, and no further one is begun."""
    policed = Policed({WRITE_KEY: ("create", "list", "PUT")} if fails == "may not" else None)
    if fails == "500":
        policed.instead["abort"] = always(BROKEN)
        policed.store.uploads = _Kept(policed.store.uploads)
    found = look(policed)
    assert found.levels == "warning uploader, skipped checksums"
    ((upload_id, upload),) = policed.store.uploads.items()
    assert fails in found.of("uploader", "abort an")["result"]
    advice = found.of("uploader", "abort an")["advice"]
    assert f"{upload_id} of bucket/{upload.key.decode()} stays" in advice
    assert "24 hours" in advice
    assert ("s3:AbortMultipartUpload" in advice) == (fails == "may not")
    assert policed.names.count((WRITE_KEY, "create")) == 1


class _Kept(dict):
    """Uploads of a store in which nothing is aborted."""

    def __delitem__(self, name):
        pass


def test_the_uploader_helps(look):
    """What the downloader may begin and not abort, the uploader aborts."""
    policed = Policed({READ_KEY: ("GET", "create")})
    assert look(policed).levels == "warning downloader"
    assert policed.store.uploads == {}
    policed = Policed({READ_KEY: ("GET", "create"), WRITE_KEY: ()})
    found = look(policed)
    assert [each["tried"] for each in found.all if each["level"] == "warning"][1] == "abort an upload"
    assert len(policed.store.uploads) == 1


@pytest.mark.parametrize("answer", [RESET, Answer(body=b"<no/>", headers={"x-amz-request-id": "1"})])
def test_an_answer_that_is_lost(answer, look):
    """An upload is begun once: where its id is lost, that it may be left is told."""
    policed = Policed()
    policed.instead["create"] = always(answer)
    found = look(policed)
    assert found.levels == "failed uploader, skipped checksums"
    assert "may be left" in found.of("uploader", "write")["advice"]
    assert policed.names.count((WRITE_KEY, "create")) == 1


def test_a_store_that_breaks(look):
    """A store that fails is told by its status, once for each user."""
    policed = Policed()
    policed.instead["GET"] = always(BROKEN)  # the first request is the uploader's, who may not
    found = look(policed)
    assert found.levels == "failed downloader, skipped downloader"
    assert "500 InternalError" in found.of("downloader", "sign")["result"]


def test_one_key_and_two_secrets(look):
    """One key for both, of which one secret is wrong: that one is told as well."""
    found = look(Policed({WRITE_KEY: ("GET", *ALLOWED[WRITE_KEY])}), down=Credentials(WRITE_KEY, "another-secret"))
    assert found.levels == "warning keys, warning uploader, failed downloader, skipped downloader"


def test_a_page_for_an_object(look):
    """A 404 that is no word of S3's comes from something on the way: it tells nothing of a key."""
    policed = Policed()
    policed.instead["GET"] = always(Answer(404, headers={"Content-Type": "text/html"}, body=b"<html>"))
    assert look(policed).levels == "failed downloader, skipped downloader"


def test_a_store_without_headers(look):
    """A store is known by its error documents, too, where it sends none of S3's headers."""
    policed = Policed()
    policed.instead["first"] = lambda _, own: dataclasses.replace(own, headers={"Date": dict(own.headers)["Date"]})
    found = look(policed)
    assert found.levels == ""
    assert "does not say its name" in found.of("store")["result"]


@pytest.mark.parametrize("moment", ["list", "telling"])
def test_interrupted(moment, capsys, monkeypatch):
    """Ctrl-C while an upload is under way, or a reader who has gone, leaves no upload behind."""
    policed = Policed()

    def interrupt(*_):
        raise KeyboardInterrupt

    if moment == "list":
        monkeypatch.setattr(multipart, "parse_parts", interrupt)
    else:
        real = findings.Report.tell
        monkeypatch.setattr(
            findings.Report, "tell", lambda self, each: ("write" in each.tried and interrupt()) or real(self, each)
        )
    with serving(policed) as server, pytest.raises(KeyboardInterrupt):
        doctor.run(settings(server.endpoint), BUCKET)
    assert (WRITE_KEY, "create") in policed.names
    assert policed.store.uploads == {}


# -- checksums


def refusing(*algorithms, answer=NOT_KNOWN):
    """A store that does not take these."""

    def refuse(request, own):
        return answer if request.header("x-amz-checksum-algorithm") in algorithms else own

    policed = Policed()
    policed.instead["create"] = refuse
    return policed


@pytest.mark.parametrize(
    ("policed", "checksum", "level", "result", "advice"),
    [
        (refusing(), "crc32", "ok", "crc32 kept, sha256 kept", None),
        (refusing("CRC32"), "crc32", "failed", "crc32 refused, sha256 kept", "Set --checksum sha256."),
        (refusing("CRC32", "SHA256"), "crc32", "failed", "crc32 refused, sha256 refused", "Set --checksum none."),
        (refusing("CRC32"), "sha256", "ok", "crc32 refused, sha256 kept", None),
        (refusing("CRC32"), None, "ok", "crc32 refused, sha256 kept", None),
        (refusing("SHA256", answer=MAY_NOT), "crc32", "ok", "crc32 kept, sha256 refused", None),
    ],
)
def test_checksums(policed, checksum, level, result, advice, look):
    """Which checksums are kept is found out; where the one to be sent is refused, another setting is named."""
    found = look(policed, checksum=checksum)
    assert found.said("checksums") == (level, result)
    assert found.of("checksums")["advice"] == advice


@pytest.mark.parametrize("answer", [RESET, BROKEN])
def test_checksums_that_nobody_knows(answer, look):
    """An answer that tells neither is no refusal; the upload whose id was lost may be left."""
    found = look(refusing("CRC32", answer=answer))
    assert found.said("checksums") == ("warning", "crc32 unknown, sha256 kept")
    assert "may be left" in found.of("checksums")["advice"]


def test_checksums_that_are_not_confirmed(look):
    """A store that takes the header and says nothing of it may not keep what it is told."""
    policed = Policed()
    policed.instead["create"] = lambda _, own: dataclasses.replace(own, headers={"x-amz-request-id": "1"})
    found = look(policed)
    assert found.said("checksums") == ("warning", "crc32 not confirmed, sha256 not confirmed")


def test_checksums_that_leave_something(look):
    """Where an abort fails on the way, the upload is named, and no further one is begun."""
    policed = Policed()
    policed.instead["abort"] = lambda _, own: own if policed.names.count((WRITE_KEY, "create")) < 2 else BROKEN
    found = look(policed)
    assert found.levels == "warning uploader"
    assert found.said("checksums") == ("ok", "crc32 kept")
    assert policed.names.count((WRITE_KEY, "create")) == 2


# -- the round trip


@pytest.mark.parametrize("body", [b"x", b""])
def test_what_is_there(body, look):
    """What the downloader sees is not written at all: the store may ignore conditions."""
    policed = Policed()
    policed.store.put(BUCKET, "trip", body)
    assert look(policed, write="trip").levels == "failed round trip"
    assert (WRITE_KEY, "PUT") not in policed.names


def test_round_trip(look):
    """It leaves what it was told to, and nothing else."""
    policed = Policed()
    assert look(policed, write="trip").levels == ""
    assert [name for _, name in policed.store.objects] == [b"trip"]


def test_conditions_that_are_ignored(look):
    """A store that replaces what is there, against the condition, is told; it was tried on the object just written."""
    policed = Policed()
    policed.instead["PUT"] = lambda _, own: own if own.status == 200 else Answer(headers={"ETag": '"no-md5"'})
    found = look(policed, write="trip")
    assert found.levels == "warning round trip"
    assert found.said("round trip", "again") == ("warning", "it was replaced")


def test_conditions_that_are_refused(look):
    """Where a conditional upload is not to be had, nothing is written, and that is said."""
    policed = Policed()
    policed.instead["PUT"] = always(NOT_KNOWN)
    found = look(policed, write="trip")
    assert found.levels == "failed round trip"
    assert "if_none_match" in found.of("round trip")["advice"]


@pytest.mark.parametrize("is_told", [True, False])
def test_other_bytes(is_told, look):
    """Bytes that are not those that were sent are a failure, whether the store's checksum tells or not."""
    other = b"other" * 1000
    crc = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(b"x" if is_told else other).to_bytes(4, "big")).decode()}
    policed = Policed()

    def replaced(request, own):
        if own.status != 200:
            return own
        return Answer(headers={"ETag": '"tag"', "x-amz-checksum-type": "FULL_OBJECT", **crc}, body=other)

    policed.instead["GET"] = replaced
    found = look(policed, write="trip")
    assert found.levels == "failed round trip"
    assert ("other bytes" in found.of("round trip", "download")["result"]) == (not is_told)


def test_round_trip_needs_both(look):
    """Without a downloader there is none."""
    policed = Policed()
    found = look(policed, write="trip", down=None)
    assert found.levels == "skipped downloader, skipped round trip"
    assert policed.store.objects == {}


# -- how it is told


def test_words_of_the_server(capsys):
    """What a server says drives no terminal, and makes no line of its own."""
    policed = Policed()
    evil = Answer(400, body=b"<Error><Code>E</Code><Message>\xc2\x9b2J&#10;ok       verdict</Message></Error>")
    policed.instead["create"] = always(evil)
    with serving(policed) as server:
        assert doctor.run(settings(server.endpoint), BUCKET) == 1
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert sum("verdict" in line[:20] for line in out.splitlines()) == 1


def test_letters_that_the_output_lacks(monkeypatch):
    """An output that has no such letters gets them escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with serving(Policed()) as server:
        assert doctor.run(settings(server.endpoint), BUCKET, "\u00fc") == 1
    assert b"read bucket/\\xfc: may" in raw.getvalue()


def test_at_once(monkeypatch):
    """Each finding is out before the next is looked for: who waits for a slow one sees what was found before."""
    raw, before = io.BytesIO(), []
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    policed = Policed()

    def noted(request, own):
        before.append(raw.getvalue().decode().splitlines()[-1])
        return own

    policed.instead["create"] = noted
    with serving(policed) as server:
        doctor.run(settings(server.endpoint), BUCKET)
    assert before[0].startswith("ok       uploader    list bucket: ")
