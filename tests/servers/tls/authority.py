"""Certificates for tests, made by the `openssl` command."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority with its files in `folder`. `certificate` is its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self.name = name
        self.certificate = str(folder / f"{name}.pem")
        self.key = str(folder / f"{name}.key")
        openssl(
            "req", "-x509", *new_key(self.key), "-out", self.certificate, "-days", "30", "-subj", f"/CN={name}",
            "-addext", "keyUsage = critical, keyCertSign, cRLSign",
        )  # fmt: skip

    def issue(self, file: str, *names: str, subject: str = "", days: int = 30, client: bool = False) -> tuple[str, str]:
        """Issue a certificate for host names; returns its file and that of its key, named after `file`."""
        certificate, key = str(self.folder / f"{file}.pem"), str(self.folder / f"{file}.key")
        request, extensions = self.folder / f"{file}.csr", self.folder / f"{file}.ext"
        openssl("req", *new_key(key), "-out", str(request), "-subj", subject or f"/CN={file}")
        kinds = [f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names]
        lines = [f"extendedKeyUsage = {'clientAuth' if client else 'serverAuth'}"]
        lines += [f"subjectAltName = {','.join(kinds)}"] if kinds else []
        extensions.write_text("\n".join(lines) + "\n")
        openssl(
            "x509", "-req", "-in", str(request), "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
            "-days", str(days), "-extfile", str(extensions), "-out", certificate,
        )  # fmt: skip
        return certificate, key


def new_key(path: str) -> list[str]:
    """The options that make a key on an elliptic curve, which is faster than RSA."""
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]


def openssl(*arguments: str) -> str:
    """Run the command and return its output."""
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout
