"""The ledger's book: bounded, and fair to what still runs."""

from __future__ import annotations

from pydantic import TypeAdapter

from lab.evidence import Hold, Ledger, Written
from lab.model.ledger import Book, Record


def opened(book: Book, name: str, tokens: int = 0) -> Record:
    """A record with so many tokens."""
    record = book.open(name, "1.1", 1.0, 0.0)
    record.numbers.extend(range(1, tokens + 1))
    record.times.extend(float(number) for number in range(tokens))
    return record


def read(book: Book, name: str) -> list[Ledger]:
    """What the probe would read."""
    pieces = book.read(name)
    return [] if pieces is None else TypeAdapter(list[Ledger]).validate_json(b"".join(pieces))


def test_the_oldest_requests_go_first() -> None:
    """A book of three forgets the oldest for a fourth; a new attempt makes a request young again."""
    book = Book(most_attempts=3)
    for name in ("one", "two", "one", "three"):
        opened(book, name)
    assert read(book, "two") == []
    assert [ledger.attempt for ledger in read(book, "one")] == [1, 2]
    assert len(read(book, "three")) == 1


def test_of_a_request_that_fills_the_book_the_oldest_attempts_go() -> None:
    """Ten thousand retries of one name cost no more than the book has, and their number is still told."""
    book = Book(most_attempts=3)
    for _ in range(10_000):
        opened(book, "one")
    assert [(ledger.attempt, ledger.attempts) for ledger in read(book, "one")] == [
        (9_998, 10_000),
        (9_999, 10_000),
        (10_000, 10_000),
    ]
    opened(book, "two")
    assert read(book, "one") == []


def test_tokens_heartbeats_and_holds_are_bounded_too() -> None:
    """Long answers count for what they weigh, once they are over; the last one is always kept."""
    for weigh in (_tokens, _heartbeats, _holds):
        book = Book(most_bytes=20_000)
        for name in ("one", "two"):
            record = opened(book, name)
            weigh(record, 1_000)
            book.close(record)
        assert read(book, "one") == []
        record = opened(book, "three")
        weigh(record, 9_000)
        book.close(record)
        assert (read(book, "two"), len(read(book, "three"))) == ([], 1)
        book.close(opened(book, "four"))
        assert (read(book, "three"), len(read(book, "four"))) == ([], 1)


def _tokens(record: Record, count: int) -> None:
    record.numbers.extend(range(1, count + 1))
    record.times.extend([1.0] * count)


def _heartbeats(record: Record, count: int) -> None:
    record.heartbeats.extend([1.0] * 2 * count)


def _holds(record: Record, count: int) -> None:
    for number in range(1, count + 1):
        record.note(Hold(number, 1.0, confirmed=True))


def test_a_confirmation_reaches_only_what_still_runs() -> None:
    """An attempt that is over has nothing to release; the request is known all the same."""
    book = Book()
    book.close(opened(book, "one"))
    assert book.confirm("one", 1)
    assert not book.confirm("two", 1)


def test_a_record_can_be_read_while_it_runs() -> None:
    """Unfinished, and with what was written so far."""
    book = Book()
    opened(book, "one", 2)
    (ledger,) = read(book, "one")
    assert ledger.finished is None
    assert [token.number for token in ledger.tokens] == [1, 2]


def test_what_is_read_is_what_was_noted() -> None:
    """Every field, whether it fits into one piece or takes many, and nothing that is added while it is read."""
    book = Book()
    record = opened(book, "one", 1_234)
    record.heartbeats.extend([0.5, 0.75])
    record.note(Hold(1, 1.5, confirmed=True))
    record.note(Hold(2, 2.5, confirmed=False))
    record.headers_at, record.fault, record.fault_at, record.client_left = 0.25, "fin@3", 3.0, 4.0
    pieces = book.read("one")
    assert pieces is not None
    document = [next(pieces), next(pieces)]
    _tokens(record, 5)
    document += pieces
    assert max(map(len, document)) < 50_000
    (ledger,) = TypeAdapter(list[Ledger]).validate_json(b"".join(document))
    assert ledger == Ledger(
        request="one",
        started=0.0,
        headers_at=0.25,
        tokens=tuple(Written(number, number - 1.0) for number in range(1, 1_235)),
        heartbeats=(0.5, 0.75),
        holds=(Hold(1, 1.5, confirmed=True), Hold(2, 2.5, confirmed=False)),
        fault="fin@3",
        fault_at=3.0,
        client_left=4.0,
    )
