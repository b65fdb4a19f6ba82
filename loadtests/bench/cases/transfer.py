"""Large bodies: a file sent by `wsgi.file_wrapper`, and an upload read in pieces."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from ..apps.plain import GREETING, UPLOAD_PIECE
from ..errors import RoundFailed
from ..launch import Probe, Running
from ..load import run_client
from ..servers.server import FILES, WSGI
from ..stats import Sample
from .case import SERVERS, Case, Column, Options, Target

MIB: Final = 2**20
FILE: Final = "large.bin"
SPARE_MIB: Final = 64  # left to everybody else on the disk
PROBE_FILE: Final = "probe.txt"


def no_room(options: Options) -> str | None:
    """Say how much room is needed where there is too little for the file."""
    free = shutil.disk_usage(tempfile.gettempdir()).free // MIB
    needed = options.transfer_mib + SPARE_MIB
    if free < needed:
        return f"{needed:,} MiB are needed in {tempfile.gettempdir()}, {free:,} MiB are free (TMPDIR chooses another)"
    return None


def prepare_files(options: Options, directory: Path) -> None:
    """Write the files that servers send, to the disk too, so that no write-back disturbs the first round."""
    (directory / PROBE_FILE).write_bytes(GREETING)
    block = os.urandom(MIB)
    with (directory / FILE).open("wb") as file:
        for _ in range(options.transfer_mib):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def measure_download(server: Running, options: Options) -> Sample:
    """Measure how fast the server sends the file."""
    return measure_transfer("download", server, options, "--path", f"/{FILE}", "--file", str(server.directory / FILE))


def measure_upload(server: Running, options: Options) -> Sample:
    """Measure how fast the application gets a body."""
    return measure_transfer("upload", server, options)


def measure_transfer(client: str, server: Running, options: Options, *arguments: str) -> Sample:
    """Run a client of transfers for a round, and turn its answer into figures."""
    size = options.transfer_mib * MIB
    answer = run_client(
        client, "--port", str(server.port), "--size", str(size), "--seconds", str(options.seconds), *arguments
    )
    if not answer["seconds"]:
        raise RoundFailed("the transfer took no measurable time")
    return {
        "gigabytes_per_second": answer["transfers"] * size / answer["seconds"] / 1e9,
        "transfers": answer["transfers"],
        "mib": float(options.transfer_mib),
    }


# The clients keep their connection, which gunicorn's sync worker ends after each response.
KEEPING: Final = tuple(server for server in SERVERS if server != "gunicorn sync")

COLUMNS: Final = (
    Column("GB/s", "{gigabytes_per_second:.2f}"),
    Column("MiB each", "{mib:,.0f}"),
    Column("transfers a round", "{transfers:.0f}"),
)

DOWNLOAD: Final = Case(
    name="download",
    title="Download of a large file",
    method=(
        "A file in the page cache, sent by `wsgi.file_wrapper` (nginx: sendfile), to a client that checks the "
        "content once and then lets the kernel discard what arrives, so that the server is the bottleneck."
    ),
    app="loadtests.bench.apps.plain:send_file",
    probe=Probe(f"/{PROBE_FILE}", GREETING),
    servers=("hublet", "nginx", "gunicorn gevent", "gevent.pywsgi", "gunicorn gthread"),
    needs=FILES,
    measure=measure_download,
    columns=COLUMNS,
    primary="gigabytes_per_second",
    more_is_better=True,
    targets=(Target("Download, over nginx", "gigabytes_per_second", "at least", 0.9, over="nginx"),),
    obstacle=no_room,
    prepare=prepare_files,
)

UPLOAD: Final = Case(
    name="upload",
    title="Upload of a large body",
    method=(
        f"A POST with a Content-Length, read by the application in pieces of {UPLOAD_PIECE // 1024} KiB; the client "
        "takes the body from memory by sendfile."
    ),
    app="loadtests.bench.apps.plain:count_upload",
    probe=Probe("/", b"0"),
    servers=KEEPING,
    needs=WSGI,
    measure=measure_upload,
    columns=COLUMNS,
    primary="gigabytes_per_second",
    more_is_better=True,
    targets=(Target("Upload, over gunicorn gevent", "gigabytes_per_second", "at least", 3.0, over="gunicorn gevent"),),
)
