from lives import new_life, write_book

from serve.web.books import Shelf, reading_curve
from train.books import save_book
from train.life import open_life


def test_a_short_last_stretch_joins_the_one_before(alice_text, tmp_path):
    new_life(tmp_path / "life", alice_text)
    with open_life(tmp_path / "life") as life:
        book = write_book(tmp_path, alice_text)
        save_book(book, life.library.folder)
        for windows, bits in ((8, 4.0), (8, 3.0), (8, 2.0), (1, 2.9)):
            row = {"books": [book.sha256], "windows": windows, "loss_bits_per_byte": bits}
            life.journal.append("read", row)
        curve = reading_curve(life, Shelf(life.library.folder))
    assert curve["windows"] == [8, 16, 25]
    assert curve["bits"] == [4.0, 3.0, (8 * 2.0 + 2.9) / 9]
    assert set(curve["books"]) == {"page"}
