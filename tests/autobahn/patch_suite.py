"""What 2to3 leaves to be done in autobahntestsuite 25.10.1 and autobahn 0.10.9, as far as the fuzzing client goes.

In the suite a Python 2 `str` is a byte string. Here every such literal stays a `str` whose characters are the bytes
(Latin-1), and becomes `bytes` only at the protocol's boundary (sendFrame, sendMessage, ...) and where payloads are
compared. So no payload is typed anew, and the cases stay as upstream wrote them. Every edit says how often its text
must be found, so that another version of the suite is noticed.

The conversion runs this file with a Python that has lib2to3: it needs nothing but the standard library of 3.10.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = """\
import txaio
txaio.use_twisted()
from ._version import __version__
version = __version__
"""

# How Python 2 byte strings that are kept as Latin-1 str are hexed and compared.
PY2BYTES = '''\
import binascii as _binascii


def tobytes(s):
    return s.encode("latin-1") if isinstance(s, str) else s


class binascii:
    @staticmethod
    def b2a_hex(s):
        return _binascii.b2a_hex(tobytes(s)).decode("ascii")

    hexlify = b2a_hex


def same(a, b):
    """What pickle.dumps(a) == pickle.dumps(b) meant: the same types and values."""
    a, b = tobytes(a), tobytes(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return a == b
'''

BOUNDARY = """\
   def sendFrame(self, opcode, payload = b'', *args, **kw):
      return super().sendFrame(opcode, tobytes(payload), *args, **kw)


   def sendMessage(self, payload, *args, **kw):
      return super().sendMessage(tobytes(payload), *args, **kw)


   def sendMessageFrameData(self, payload, *args, **kw):
      return super().sendMessageFrameData(tobytes(payload), *args, **kw)


   def sendCloseFrame(self, code = None, reasonUtf8 = None, isReply = False):
      return super().sendCloseFrame(code, tobytes(reasonUtf8), isReply)


"""
ON_OPEN = "   def onOpen(self):\n\n      self.connectionWasOpen = True\n"

# File, text, replacement; each text must be there exactly once, but for the numbers in COUNTS.
EDITS = (
    (
        "autobahn/websocket/protocol.py",
        "range(payload_len / len(payload))", "range(payload_len // len(payload))",
    ),
    (
        "autobahntestsuite/case/case.py",
        "return pickle.dumps(obj1) == pickle.dumps(obj2)", "return same(obj1, obj2)",
    ),
    ("autobahntestsuite/case/case.py", "import pickle", "from ..py2bytes import same"),
    # 9.9.1 is not in upstream's list of cases either, and needs an old form of zope.interface.
    ("autobahntestsuite/case/__init__.py", "from .case9_9_1 import *", ""),
    (
        "autobahntestsuite/case/case10_1_1.py",
        "len(self.payload) / self.p.autoFragmentSize", "len(self.payload) // self.p.autoFragmentSize",
    ),
    (
        "autobahntestsuite/case/case6_x_x.py",
        "res = v.validate(vss[:i])", "res = v.validate(vss[:i].encode('latin-1'))",
    ),
    (
        "autobahntestsuite/case/case12_x_x.py",
        "import copy, os, pkg_resources, hashlib, binascii",
        "import copy, os, hashlib\nfrom ..py2bytes import binascii\n"
        "_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))",
    ),
    (
        "autobahntestsuite/case/case12_x_x.py",
        'pkg_resources.resource_filename("autobahntestsuite", ', "os.path.join(_HERE, ",
    ),
    (
        "autobahntestsuite/fuzzing.py",
        "import os, json, binascii, time, textwrap, pkg_resources",
        "import os, json, time, textwrap\nfrom .py2bytes import binascii, tobytes",
    ),
    (
        "autobahntestsuite/fuzzing.py",
        "from twisted.internet import reactor, ssl",
        "from twisted.internet import reactor\n"
        "try:\n   from twisted.internet import ssl\nexcept ImportError:\n   ssl = None",
    ),
    ("autobahntestsuite/fuzzing.py", "from twisted.web.server import Site\nfrom twisted.web.static import File\n", ""),
    # Reports are JSON only here: without HTML there is no need of upstream's templates.
    (
        "autobahntestsuite/fuzzing.py",
        "from .report import CSS_COMMON, \\\n                   CSS_DETAIL_REPORT, \\\n"
        "                   CSS_MASTER_REPORT, \\\n                   JS_MASTER_REPORT\n",
        "",
    ),
    (
        "autobahntestsuite/fuzzing.py",
        "def createReports(self, produceHtml = True, produceJson = True)",
        "def createReports(self, produceHtml = False, produceJson = True)",
    ),
    (
        "autobahntestsuite/fuzzing.py",
        '   ellipses = " ..."\n   try:\n', '   ellipses = b" ..."\n   data = tobytes(data)\n   try:\n',
    ),
    ("autobahntestsuite/fuzzing.py", "p = ''.join(payload)", "p = b''.join(payload)"),
    (
        "autobahntestsuite/fuzzing.py",
        "self.contextFactory = ssl.ClientContextFactory()",
        "self.contextFactory = ssl.ClientContextFactory() if ssl else None",
    ),
    (
        "autobahntestsuite/fuzzing.py",
        "f.write(json.dumps(case, sort_keys = True, indent = 3, separators = (',', ': ')))",
        "f.write(json.dumps(case, sort_keys = True, indent = 3, separators = (',', ': '),\n"
        "                   default = lambda o: o.decode('latin-1')))",
    ),
    ("autobahntestsuite/fuzzing.py", ON_OPEN, BOUNDARY + ON_OPEN),
)  # fmt: skip
COUNTS = {'pkg_resources.resource_filename("autobahntestsuite", ': 3}

# In all cases together; the last element is how often the pattern must be found.
CASE_EDITS = (
    # A Python 2 literal is its bytes, so that the source has to be read as Latin-1.
    (r"\A# coding=utf-8", "# coding=latin-1", 12),
    # Python 3 refuses the order (object, Case).
    (r"\(object, Case, ?\)", "(Case, )", 6),
    (r"(?m)^import binascii\r?$", "from ..py2bytes import binascii", 14),
)


def read(path: Path) -> str:
    """The text of a source, byte by byte."""
    return path.read_bytes().decode("latin-1")


def write(path: Path, text: str) -> None:
    """The reverse of `read`."""
    path.write_bytes(text.encode("latin-1"))


def edit_cases(folder: Path) -> None:
    """Apply CASE_EDITS."""
    for pattern, replacement, expected in CASE_EDITS:
        found = 0
        for path in sorted(folder.glob("*.py")):
            text, count = re.subn(pattern, replacement, read(path))
            found += count
            write(path, text)
        if found != expected:
            raise SystemExit(f"{pattern!r} was found {found} times in the cases, not {expected}")


def edit(path: Path, old: str, new: str) -> None:
    """Apply one of EDITS."""
    text = read(path)
    found, expected = text.count(old), COUNTS.get(old, 1)
    if found != expected:
        raise SystemExit(f"{old!r} was found {found} times in {path}, not {expected}")
    write(path, text.replace(old, new))


def main() -> None:
    """Patch the folder that holds both packages."""
    lib = Path(sys.argv[1])
    suite = lib / "autobahntestsuite"
    write(suite / "__init__.py", PACKAGE)
    write(suite / "py2bytes.py", PY2BYTES)
    edit_cases(suite / "case")
    for path, old, new in EDITS:
        edit(lib / path, old, new)


if __name__ == "__main__":
    main()
