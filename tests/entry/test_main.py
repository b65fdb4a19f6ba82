"""`hublet` and `python -m hublet`: patched before anything else is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.entry.conftest import Start, get


def test_the_standard_library_is_patched_before_the_rest_is_imported() -> None:
    script = """if True:
        import sys
        from gevent import monkey
        loaded = []
        patch_all = monkey.patch_all
        def watch(*arguments, **options):
            loaded.extend(sys.modules)
            return patch_all(*arguments, **options)
        monkey.patch_all = watch
        sys.argv = ["hublet", "--version"]
        from hublet.__main__ import main
        try:
            main()
        except SystemExit:
            pass
        names = {"argparse", "socket", "ssl", "queue", "subprocess", "hublet.cli", "hublet.servers"}
        print(sorted(names & set(loaded)), sorted(names - set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] []"


def test_the_application_is_imported_in_a_patched_process(command: Start, tmp_path: Path) -> None:
    (tmp_path / "patched.py").write_text(
        "from time import sleep\nfrom socket import socket\nfrom threading import local\n"
        "found = ' '.join(each.__module__.partition('.')[0] for each in (sleep, socket, local))\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [found.encode()]\n"
    )
    url = command("patched", "--bind", ":0").url()
    assert get(url.replace("0.0.0.0", "127.0.0.1")) == "gevent gevent gevent"


def test_the_console_script(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("hublet")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("hublet ")


def test_what_was_imported_too_early_is_logged(command: Start) -> None:
    script = (
        "import sys, types, time\n"
        "sys.modules['early'] = early = types.ModuleType('early')\n"
        "early.FROZEN = (time.sleep,)\n"
        "sys.argv = ['hublet', 'shop', '--bind', '127.0.0.1:0']\n"
        "from hublet.__main__ import main\n"
        "sys.exit(main())\n"
    )
    running = command(script=script)
    assert running.wait_for(r"WARNING (.*)")[1].startswith("early.FROZEN[0] (item) holds the unpatched time.sleep, im")
    assert get(running.url()) == "hello"
    assert running.stop() == 0
