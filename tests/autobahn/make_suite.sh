#!/usr/bin/env bash
# Makes the Autobahn WebSocket Testsuite's fuzzing client for Python 3, from the packages that PyPI has.
#   usage: make_suite.sh PREFIX
# Into PREFIX: venv (Twisted, wsaccel and the rest), lib (the converted suite), and built, which marks a whole result.
# 2to3 is in Python up to 3.12: PYTHON=/path/to/python3 chooses one, otherwise the first that has it is taken.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f "$prefix/built"

for python in "${PYTHON:-python3}" python3.12 python3.11 python3.10 none; do
    "$python" -W ignore -c 'import lib2to3, venv' 2>/dev/null && break
done
if [ "$python" = none ]; then
    echo "the conversion of the Autobahn suite needs a Python with lib2to3, 3.12 or older: choose one by PYTHON=..." >&2
    exit 1
fi

# From the start, for a half-made environment looks like a whole one.
"$python" -m venv --clear "$prefix/venv"
pip=("$prefix/venv/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install 'Twisted==26.10.0' 'txaio==26.6.1' 'six==1.17.0' 'wsaccel==0.6.7' 'zope.interface==8.7'

"${pip[@]}" download --no-deps --dest "$work" 'autobahntestsuite==25.10.1' 'autobahn==0.10.9'
(cd "$work" && sha256sum --quiet --check - <<'SUMS'
3fecc1e2a26a0421128ddcfb4e577f0bc669dd65d0e0fdad1c773965cbcef75a  autobahn-0.10.9.tar.gz
b083d6e15330fc16f3e5f0975cce2b15f21bfa0c6db09547316b1852c6dbd6df  autobahntestsuite-25.10.1.tar.gz
SUMS
)
for archive in "$work"/*.tar.gz; do tar xzf "$archive" -C "$work"; done

# Only what the fuzzing client needs. report.py goes again: it only shows 2to3 which imports are the package's own.
source=$work/autobahntestsuite-25.10.1/autobahntestsuite
suite=$prefix/lib/autobahntestsuite
rm -rf "$prefix/lib"
mkdir -p "$suite"
cp -r "$source"/{case,testdata,__init__.py,_version.py,caseset.py,fuzzing.py,report.py} "$suite/"
find "$suite" -name '*.py' -exec sed -i 's/\r$//' {} +
cp -r "$work/autobahn-0.10.9/autobahn" "$prefix/lib/autobahn"
rm -rf "$prefix/lib/autobahn/asyncio" "$prefix/lib/autobahn/wamp/test" "$prefix/lib/autobahn/"*/test

(cd "$suite" && "$python" -W ignore -m lib2to3 -w -n --no-diffs case caseset.py fuzzing.py _version.py) \
    >"$work/2to3.log" 2>&1 || { cat "$work/2to3.log" >&2; exit 1; }
"$python" "$here/patch_suite.py" "$prefix/lib"
rm "$suite/report.py"

PYTHONPATH="$prefix/lib" "$prefix/venv/bin/python" -W ignore - <<'PY'
import autobahntestsuite.fuzzing
from autobahn.websocket.utf8validator import Utf8Validator
from autobahntestsuite.case import Cases

assert "wsaccel" in Utf8Validator.__module__, "without wsaccel the suite would be far too slow"
assert len(Cases) == 517, len(Cases)
PY
touch "$prefix/built"
