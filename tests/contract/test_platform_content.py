"""What every platform promises of content: which bytes it gives away, and which never."""

from pathlib import Path

import msgspec
import pytest
from grounds import Ground, Play

from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, FairwayError, NotAllowed, NotFound, UsageError
from fairway.spec.run import RunRequest


def test_content_of_one_file_is_read(play: Play) -> None:
    async def work(ground: Ground) -> None:
        digest = ground.stores.artifacts.put_bytes(b"content \xff")
        assert await ground.platform.read(Artifact(format="json", digest=digest, size=9)) == b"content \xff"
        with pytest.raises(FairwayError):
            await ground.platform.read(Artifact(format="json", digest="0" * 64, size=9))

    play(work)


def test_only_code_of_the_project_is_taken_over_http(served: Play, tmp_path: Path) -> None:
    """What is refused is neither imported nor read."""
    touched = tmp_path / "touched"
    outside = tmp_path / "outside.py"
    outside.write_text(f"open({str(touched)!r}, 'w')\n", encoding="utf-8")
    (tmp_path / "shop" / "link.py").symlink_to(outside)
    file = str(tmp_path / "shop" / "project.py")
    code = Artifact(format="pickle", digest="0" * 64, size=1, inline=b".")
    hidden = b'{"$leaf": "pickle", "kind": "int", "data": "Lg=="}'
    refused = [
        RunRequest(file=str(outside)),
        RunRequest(file=str(tmp_path / "shop" / ".." / "outside.py")),
        RunRequest(file=str(tmp_path / "shop" / "link.py")),
        RunRequest(file="outside.py"),
        RunRequest(file=file, folder="/"),
        RunRequest(file=file, pickled=str(outside)),
        RunRequest(pickled=str(outside)),
        RunRequest(),
        RunRequest(file=file, parameters={"number": code}),
        RunRequest(
            file=file, parameters={"number": msgspec.structs.replace(code, format="bundle", inline=hidden)}
        ),
        RunRequest(
            file=file, parameters={"number": msgspec.structs.replace(code, format="json", code="0" * 64)}
        ),
    ]

    async def work(ground: Ground) -> None:
        for request in refused:
            for verb in (ground.platform.submit, ground.platform.describe, ground.platform.plan):
                with pytest.raises((NotAllowed, UsageError)):
                    await verb(request)
        assert await ground.platform.runs() == []
        plain = Artifact(format="json", digest="0" * 64, size=1, inline=b"1")
        await ground.platform.submit(RunRequest(file=file, pipeline="main", parameters={"number": plain}))

    served(work)
    assert not touched.exists()


def test_content_is_brought_to_a_file_in_pieces(play: Play) -> None:
    async def work(ground: Ground) -> None:
        data = bytes(range(256)) * 40_000  # more than a piece
        digest = ground.stores.artifacts.put_bytes(data)
        target = ground.folder / "brought"
        await ground.platform.bring(digest, target)
        assert target.read_bytes() == data
        assert await ground.platform.piece(digest, len(data) - 2) == data[-2:]
        assert await ground.platform.piece(digest, len(data)) == b""
        with pytest.raises(NotFound):
            await ground.platform.bring("0" * 64, ground.folder / "nothing")
        assert not (ground.folder / "nothing").exists()

    play(work)


def test_content_that_is_damaged_becomes_no_file(play: Play) -> None:
    async def work(ground: Ground) -> None:
        digest = ground.stores.artifacts.put_bytes(b"content" * 1000)
        blob = ground.stores.layout.blobs / digest[:2] / digest
        blob.chmod(0o600)
        blob.write_bytes(b"CONTENT" * 1000)
        with pytest.raises(CorruptArtifact):
            await ground.platform.bring(digest, ground.folder / "brought")
        assert not (ground.folder / "brought").exists()

    play(work)


def test_a_file_of_the_store_is_no_piece(served: Play) -> None:
    async def work(ground: Ground) -> None:
        for digest in ("../store.json", "..", "0" * 63, "A" * 64):
            with pytest.raises(FairwayError, match=r"no digest|nothing here"):
                await ground.platform.piece(digest, 0)

    served(work)


def test_a_file_of_the_store_is_no_content(served: Play) -> None:
    async def work(ground: Ground) -> None:
        for digest in ("../store.json", "..", "", "0" * 63, "A" * 64, "0" * 64 + "\n"):
            with pytest.raises(UsageError, match="no digest"):
                await ground.platform.read(Artifact(format="json", digest=digest, size=1))

    served(work)
