from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from odd_files import disk_with, make_long, make_pipe

from lab.errors import BadInput
from lab.files import LONGEST_RESULT, LONGEST_TEXT, read_whole, read_words, stay_inside, write_whole


def names(folder: Path) -> list[str]:
    """What a folder holds."""
    return sorted(path.name for path in folder.iterdir())


class TestWriteWhole:
    def test_a_file_is_new_or_replaced(self, tmp_path: Path) -> None:
        """Bytes as they are, text in UTF-8, and nothing beside it."""
        write_whole(tmp_path / "file", b"\xff")
        assert (tmp_path / "file").read_bytes() == b"\xff"
        write_whole(tmp_path / "file", "é\ud800")
        assert (tmp_path / "file").read_text("utf-8") == "é?"
        assert names(tmp_path) == ["file"]

    def test_a_full_disk_costs_nothing(self, tmp_path: Path) -> None:
        """What stood there still does, nothing is left beside it, and the error names the file."""
        write_whole(tmp_path / "file", b"old")
        with disk_with(1000), pytest.raises(OSError, match="too large") as told:
            write_whole(tmp_path / "file", b"n" * 100_000)
        assert told.value.filename == str(tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"old"
        assert names(tmp_path) == ["file"]

    def test_a_disk_that_says_so_last_costs_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some only tell that they are full when the bytes are to be on them."""

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        write_whole(tmp_path / "file", b"old")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(tmp_path / "file", b"new")
        assert (tmp_path / "file").read_bytes() == b"old"
        assert names(tmp_path) == ["file"]

    def test_two_writers_never_mix(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second writes its whole file while the first is between writing and replacing."""
        right = Path.replace

        def late(part: Path, target: Path) -> Path:
            monkeypatch.setattr(Path, "replace", right)
            write_whole(tmp_path / "file.json", b"second")
            return right(part, target)

        monkeypatch.setattr(Path, "replace", late)
        write_whole(tmp_path / "file.json", b"the first")
        assert (tmp_path / "file.json").read_bytes() == b"the first"
        assert names(tmp_path) == ["file.json"]

    def test_many_writers_at_once(self, tmp_path: Path) -> None:
        """Whoever was last, the file is one of theirs, and no writer has failed."""
        contents = [bytes([number]) * 200_000 for number in range(8)]
        failed: list[BaseException] = []

        def write(content: bytes) -> None:
            try:
                write_whole(tmp_path / "file", content)
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=write, args=(content,)) for content in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert (tmp_path / "file").read_bytes() in contents
        assert names(tmp_path) == ["file"]

    @pytest.mark.parametrize("planted", ["file.json", "file.part", "file.json.part"])
    def test_a_planted_link_is_not_followed(self, tmp_path: Path, planted: str) -> None:
        """Somebody else's file behind a link stays as it is."""
        (tmp_path / "precious").write_bytes(b"precious")
        (tmp_path / planted).symlink_to(tmp_path / "precious")
        write_whole(tmp_path / "file.json", b"new")
        assert (tmp_path / "precious").read_bytes() == b"precious"
        assert (tmp_path / "file.json").read_bytes() == b"new"

    def test_others_may_read_it_as_the_user_allows(self, tmp_path: Path) -> None:
        """A report that a web server is to show has the rights of every file that the user makes."""
        (tmp_path / "other").touch()
        write_whole(tmp_path / "file", b"")
        assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


class TestReadWhole:
    def test_reads_up_to_the_limit(self, tmp_path: Path) -> None:
        """One byte more is too much, and nothing is cut off in silence."""
        (tmp_path / "file").write_bytes(b"12345")
        assert read_whole(tmp_path / "file", 5) == b"12345"
        with pytest.raises(OSError, match="longer than 4 bytes"):
            read_whole(tmp_path / "file", 4)

    def test_a_pipe_is_refused(self, tmp_path: Path) -> None:
        """It may be one that nobody ever writes to."""
        make_pipe(tmp_path / "pipe")
        with pytest.raises(OSError, match="not a regular file"):
            read_whole(tmp_path / "pipe", 5)
        with pytest.raises(OSError, match="not a regular file"):
            read_whole(tmp_path / "pipe", 5, handed_over=True)

    @pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/tty"])
    def test_a_device_is_refused(self, device: str) -> None:
        """It may have no end, or be the terminal itself."""
        with pytest.raises(OSError, match=r"not a regular file|No such device"):
            read_whole(Path(device), 5)

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        """With the system's own words."""
        with pytest.raises(IsADirectoryError):
            read_whole(tmp_path, 5)

    def test_what_the_shell_hands_over_is_read(self) -> None:
        """`--key-file <(pass show key)` keeps a key off the disk."""
        reading, writing = os.pipe()
        os.write(writing, b"a key")
        os.close(writing)
        try:
            path = Path(f"/dev/fd/{reading}")
            with pytest.raises(OSError, match="not a regular file"):
                read_whole(path, 100)
            assert read_whole(path, 100, handed_over=True) == b"a key"
        finally:
            os.close(reading)

    def test_words_have_one_kind_of_line_end(self, tmp_path: Path) -> None:
        """Whatever their author's editor writes."""
        (tmp_path / "words").write_bytes("é\r\nb\rc\n".encode())
        assert read_words(tmp_path / "words") == "é\nb\nc\n"

    def test_words_have_a_limit(self, tmp_path: Path) -> None:
        """Nobody writes a scenario of that length by hand."""
        make_long(tmp_path / "words", LONGEST_TEXT + 1)
        with pytest.raises(OSError, match="longer than"):
            read_words(tmp_path / "words")
        assert LONGEST_TEXT < LONGEST_RESULT


class TestStayInside:
    def test_links_within_the_folder_may_be(self, tmp_path: Path) -> None:
        """Two products may share a certificate; also where the folder itself is reached over a link."""
        (tmp_path / "mine" / "shared").mkdir(parents=True)
        (tmp_path / "mine" / "shared" / "cert.pem").touch()
        (tmp_path / "mine" / "cert.pem").symlink_to("shared/cert.pem")
        (tmp_path / "link").symlink_to(tmp_path / "mine")
        stay_inside(tmp_path / "mine" / "cert.pem", tmp_path / "mine")
        stay_inside(tmp_path / "link" / "cert.pem", tmp_path / "link")
        stay_inside(tmp_path / "mine" / "not there", tmp_path / "mine")

    @pytest.mark.parametrize("target", ["../mine2/secret", "/etc/hostname", "../link"])
    def test_links_out_of_it_are_refused_with_their_goal(self, tmp_path: Path, target: str) -> None:
        """By name alone `mine2` is no part of `mine`; the message has the link and where it leads."""
        (tmp_path / "mine").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "mine2")
        (tmp_path / "mine" / "file").symlink_to(target)
        with pytest.raises(BadInput) as told:
            stay_inside(tmp_path / "mine" / "file", tmp_path / "mine")
        assert str(tmp_path / "mine" / "file") in told.value.problem
        assert os.path.realpath(tmp_path / "mine" / "file") in told.value.problem

    def test_dots_are_no_way_out(self, tmp_path: Path) -> None:
        """A name in a scenario's table is no path to everywhere."""
        with pytest.raises(BadInput, match="leads to"):
            stay_inside(tmp_path / "mine" / ".." / "other", tmp_path / "mine")

    def test_a_link_to_itself_leads_nowhere(self, tmp_path: Path) -> None:
        """It is for the reader to fail at it."""
        (tmp_path / "loop").symlink_to("loop")
        stay_inside(tmp_path / "loop", tmp_path)
