"""The store of made-up media. It generates each picture, film and sound from the name of the file."""

import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MEDIA_ORIGIN: Final = "https://media.example.org"
_SIZE: Final = 24
_HEAD: Final = struct.pack(">IIBBBBB", _SIZE, _SIZE, 8, 2, 0, 0, 0)  # of 8 bits each for red, green and blue


def made_up_file(name: str) -> bytes:
    """Make a file of the demo's store from its name, which begins with 64 hexadecimal digits."""
    stem, _, suffix = name.partition(".")
    seed = bytes.fromhex(stem)
    if suffix == "wav":
        return _sound(seed)
    frames = [_pixels(seed), _pixels(seed[::-1])] if suffix == "apng" else [_pixels(seed)]
    return _picture(frames)


def _pixels(seed: bytes) -> bytes:
    """Draw a square of the demo in two colours."""
    ground, figure = seed[:3], seed[3:6]
    rows = (
        b"".join(figure if seed[(row // 4) % 8 + 8] >> (column // 4) & 1 else ground for column in range(_SIZE))
        for row in range(_SIZE)
    )
    return zlib.compress(b"".join(b"\0" + row for row in rows), 1)


def _picture(frames: list[bytes]) -> bytes:
    """Write a picture of the demo, or a film of several frames, as PNG (ISO/IEC 15948, third edition)."""
    chunks = [(b"IHDR", _HEAD)]
    if len(frames) > 1:
        chunks.append((b"acTL", struct.pack(">II", len(frames), 0)))
    for number, frame in enumerate(frames):
        if len(frames) > 1:
            control = struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), _SIZE, _SIZE, 0, 0, 1, 2, 0, 0)
            chunks.append((b"fcTL", control))
        chunks.append((b"fdAT", struct.pack(">I", 2 * number) + frame) if number else (b"IDAT", frame))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in [*chunks, (b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Write a chunk of a picture of the demo."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _sound(seed: bytes) -> bytes:
    """Write a tone of the demo as WAV."""
    wave = bytes(seed[0] // 2 + 64 for _ in range(seed[1] % 16 + 4)) + bytes(seed[1] % 16 + 4)
    samples = wave * (4000 // len(wave))
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", len(samples))
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(samples)) + b"WAVE" + head + samples


class _Handler(BaseHTTPRequestHandler):
    """The demo's store of media: every file that a made-up item can have."""

    def do_GET(self) -> None:
        """Answer a request to the demo's store of media."""
        try:
            body = made_up_file(self.path[1:])
        except (ValueError, IndexError):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing of the demo's store of media."""


@contextmanager
def media_files() -> Iterator[str]:
    """Serve the demo's store of media on a free port until the block ends; yield its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
