"""A file's bytes: their kind, by their beginning, and their text and its encoding.

Limits the size of files. Names are never trusted: a Parquet file called .csv is a Parquet file.
"""

import codecs
import gzip
import re
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

from components.errors import ConfigError, DataError

MOST_BYTES = 2 * 2**30  # of a file, unpacked
_SIGNATURES = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
)
# Formats that are recognised only in order to refuse them with advice.
_REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office file", "save it as .xlsx without a password, or as .csv"),
    (b"%PDF", "a PDF", "convert its rows to .csv or .jsonl"),
    (b"SQLite format 3\x00", "a SQLite database", "export the table as .csv"),
    (b"BZh", "a file packed by bzip2", "unpack it first"),
    (b"\xfd7zXZ", "a file packed by xz", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"\x89PNG", "a picture", "bring rows of text"),
    (b"\xff\xd8\xff", "a picture", "bring rows of text"),
    (b"\x93NUMPY", "a NumPy array", "bring rows as .csv or .jsonl"),
    (b"Obj\x01", "an Avro file", "convert it to Parquet or .jsonl"),
    (b"ORC", "an ORC file", "convert it to Parquet or .jsonl"),
    (b"{\\rtf", "an RTF document", "bring rows as .csv or .jsonl"),
)
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_KANA = "".join(map(chr, range(0x3041, 0x30FF)))
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_TAR = (257, b"ustar")
_NULS = 0.02  # of a text: with more it is binary, or in another encoding
_WIDE_ZEROS = 0.2  # of the bytes: more are in UTF-16 of Latin letters, and in UTF-32
_LINE_ENDS = 0.02  # of the bytes that look like one; the others are parts of characters
_MARK_AT_LINE = re.compile("(?<=[\r\n])\ufeff")
_WORD = re.compile(r"(?<![A-Za-z])[^\x00-\x7f]{2,}(?![A-Za-z])")
# Encodings whose texts have at least this share of these characters; the detector takes them for others.
_FREQUENT = {
    "cp932": (_KANA, 0.15),
    "euc_jp": (_KANA, 0.15),
    "cp1255": ("יהולאתרבש", 0.5),
    "cp1256": ("اينمورتبدعس", 0.5),
    "cp874": ("านรอกเงมยลวดตัิี่้", 0.5),
    "cp866": ("оеаинтсрвл", 0.5),
}
# Non-UTF-8 encodings that spreadsheets and databases write.
_LEGACY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "cp949", "mac_roman", "koi8_r"]
_SAMPLE = 2**16
_LEAST = 60  # characters of a script that tell its encoding
_WORDS = 0.8  # of a script's letters stand beside another: accents stand alone
_DAMAGED_SHARE = 0.05  # of non-ASCII text: fewer invalid sequences are damage, more are another encoding


def read_bytes(path: Path) -> tuple[bytes, str]:
    """A file's bytes, decompressed if gzipped, and their kind: parquet, arrow, workbook or text.

    Raises:
        DataError: There is no such file, it is too large, or its kind has no rows.
    """
    if not path.is_file():
        raise DataError(f"expected a data file, found none at {path}")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES:,} bytes, found {size:,} ({path})")
    content = path.read_bytes()
    kind = _kind(content, path)
    if kind != "gzip":
        return content, kind
    content = _unpacked(content, path)
    if (kind := _kind(content, path)) == "gzip":
        raise DataError(f"expected rows of data, found a gzip file in another: unpack it first ({path})")
    return content, kind


def decode(content: bytes, path: Path, encoding: str | None = None) -> tuple[str, str]:
    """A file's text without byte order marks at the beginning of lines, and its encoding, which is given or detected.

    Raises:
        ConfigError: Python has no such encoding.
        DataError: The bytes are invalid in this encoding, with the byte and the line; or too many characters are NUL.
    """
    name = encoding or _encoding(content)
    try:
        text = content.decode(name)
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeError):
            raise _not_text(content, path, name, error) from error
        raise ConfigError(f"encoding must be one that Python knows, found {encoding!r} ({path})") from error
    return _unmarked(_not_binary(text, path, name)), name


def _unmarked(text: str) -> str:
    """A text without byte order marks at the beginning of lines: files put one after the other have several."""
    text = text.removeprefix("\ufeff")
    return _MARK_AT_LINE.sub("", text) if "\ufeff" in text else text


def _not_binary(text: str, path: Path, name: str) -> str:
    nuls = text.count("\0")
    if nuls > _NULS * len(text):
        raise DataError(
            f"expected text in {name}, found NUL in {nuls:,} of {len(text):,} characters: it is binary, or text in "
            f"another encoding ({path})"
        )
    return text


def _kind(content: bytes, path: Path) -> str:
    for signature, name, advice in _REFUSED:
        if content.startswith(signature):
            raise DataError(f"expected rows of data, found {name}: {advice} ({path})")
    if content.startswith(_TAR[1], _TAR[0]):
        raise DataError(f"expected rows of data, found a tar archive: unpack it first ({path})")
    kind = next((kind for signature, kind in _SIGNATURES if content.startswith(signature)), "text")
    return _zipped(content, path) if kind == "zip" else kind


def _zipped(content: bytes, path: Path) -> str:
    """The kind of a zip file, by its table of contents."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names, unpacked = archive.namelist(), sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise DataError(f"expected a whole file, found a damaged zip: {error} ({path})") from error
    if "xl/workbook.xml" in names or "xl/workbook.bin" in names:
        if unpacked > MOST_BYTES:
            raise DataError(f"expected at most {MOST_BYTES:,} bytes unpacked, found {unpacked:,} ({path})")
        return "workbook"
    if "content.xml" in names:
        raise DataError(f"expected an .xlsx workbook, found an OpenDocument file: save it as .xlsx or .csv ({path})")
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    raise DataError(
        f"expected a file of rows, found a zip archive with {listed or 'nothing'}: unpack it first ({path})"
    )


def _unpacked(content: bytes, path: Path) -> bytes:
    """Decompress gzip, within the size limit."""
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as file:
            unpacked = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"expected a whole gzip file, found a damaged one: {error} ({path})") from error
    if len(unpacked) > MOST_BYTES:
        raise DataError(f"expected at most {MOST_BYTES:,} bytes unpacked, found more ({path})")
    return unpacked


def _encoding(content: bytes) -> str:
    """The most likely encoding: by byte order mark, by zeros, as in UTF-16, UTF-8 if valid, else by its letters."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name
    is_utf_8, head = _reads(content, "utf-8"), content[:_SAMPLE]
    if head.count(0) > (_NULS * len(head) if is_utf_8 else 0) and (wide := _wide(head)) is not None:
        return wide
    return "utf-8" if is_utf_8 else _legacy(content)


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32, in the order of bytes that gives most line breaks and commas; None if neither gives any.

    Read in the wrong order or width, these become characters that no text has, or NUL.
    """
    separators: dict[str, int] = {}
    for name in _WIDE:
        text = head.decode(name, "replace")
        is_text = text.count("\0") <= _NULS * len(text)
        separators[name] = sum(map(text.count, "\r\n\t,")) if is_text else 0
    best = max(_WIDE, key=lambda name: separators[name])
    return best if separators[best] and _has_lines(head, best) else None


def _has_lines(head: bytes, wide: str) -> bool:
    """Whether a text has its line ends in this encoding, unless it is mostly zeros; NUL beside a comma is no proof."""
    text = head.decode(wide, "replace")
    lines, bytes_like_them = sum(map(text.count, "\r\n")), sum(map(head.count, (b"\r", b"\n")))
    return head.count(0) > _WIDE_ZEROS * len(head) or lines >= _LINE_ENDS * bytes_like_them


def _legacy(content: bytes) -> str:
    """The encoding of invalid UTF-8: still UTF-8 if only a little is damaged."""
    from charset_normalizer import from_bytes

    lines = content.split(b"\n")
    sample = b"\n".join(line for line in lines if not line.isascii())[:_SAMPLE]
    shown = sample.decode("utf-8", "replace")
    foreign = sum(not character.isascii() for character in shown)
    if shown.count("\ufffd") < _DAMAGED_SHARE * foreign:
        return "utf-8"
    if (known := _by_letters(sample)) is not None and _reads(content, known):
        return known
    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    name = best.encoding if best is not None else "cp1252"
    if name in ("mac_roman", "cp1250", "cp1254", "cp1253") and _western(sample):
        name = "cp1252"
    return name if _reads(content, name) else "latin-1"


def _by_letters(sample: bytes) -> str | None:
    """The encoding in which enough characters are a script's most frequent letters, and nearly all stand in words."""
    for name, (letters, share) in _FREQUENT.items():
        try:
            text = codecs.getincrementaldecoder(name)().decode(sample)  # the last character may be cut off
        except UnicodeDecodeError:
            continue
        foreign = sum(not character.isascii() for character in text)
        frequent = sum(map(text.count, letters))
        if foreign >= _LEAST and frequent >= share * foreign and sum(map(len, _WORD.findall(text))) >= _WORDS * foreign:
            return name
    return None


def _western(sample: bytes) -> bool:
    """Whether the bytes, as Windows-1252, are letters and signs of western European texts."""
    usual = "äöüßÄÖÜéèêëàâáçñóòôõúùûíìîïåæøœÉÈÀÇÑÅÆØ€£°§´’‘“”„–—…©®«»·•½²³¿¡\xa0"
    try:
        foreign = [character for character in sample.decode("cp1252") if not character.isascii()]
    except UnicodeDecodeError:
        return False
    return sum(character in usual for character in foreign) >= 0.9 * len(foreign)


def _reads(content: bytes, name: str) -> bool:
    try:
        content.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _not_text(content: bytes, path: Path, name: str, error: UnicodeError) -> DataError:
    position = error.start if isinstance(error, UnicodeDecodeError) else 0
    line = content.count(b"\n", 0, position) + 1
    byte = f"byte 0x{content[position]:02x}" if position < len(content) else "its end"
    return DataError(f"expected text in {name}, found {byte} at position {position:,} ({path}:{line})")
