"""The machine, the interpreter and the limits: checked and arranged before a run, described after it."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
from pathlib import Path

from .cases.case import Options
from .errors import UsageError
from .servers.server import HUBLET, PEERS


def require_machine(options: Options) -> None:
    """Raise UsageError where the comparison cannot be run at all."""
    if sys.platform != "linux":
        raise UsageError(f"the comparison pins processes to cores and reads /proc: it needs Linux, not {sys.platform}")
    if shutil.which("taskset") is None:
        raise UsageError("taskset is not installed; on Debian and Ubuntu: apt-get install util-linux")
    cores = os.sched_getaffinity(0)
    for core in (options.server_core, options.load_core):
        if core not in cores:
            raise UsageError(f"core {core} is not among {sorted(cores)}: choose by --server-core and --load-core")
    pythons = {name: interpreter_version(path) for name, path in (("BENCH_HUBLET", HUBLET), ("BENCH_PEERS", PEERS))}
    if None not in pythons.values() and len(set(pythons.values())) > 1:
        found = ", ".join(f"{name} {version}" for name, version in pythons.items())
        raise UsageError(f"the servers would run on different interpreters ({found}): make both environments of one")
    if options.server_core == options.load_core:
        raise UsageError("server and load need a core each: --server-core and --load-core are the same")


def arrange_process(options: Options) -> None:
    """Move this process, and so the load clients, to their core, and allow all its children the most descriptors."""
    os.sched_setaffinity(0, {options.load_core})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def interpreter_version(path: str) -> str | None:
    """Ask an interpreter which it is; None where it cannot be run, and its servers are missing."""
    ask = "import platform; print(platform.python_implementation(), platform.python_version())"
    try:
        return subprocess.run([path, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def describe_machine() -> dict[str, str]:
    """Name what the figures depend on, as text by heading."""
    return {
        "processor": processor_name(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def processor_name() -> str:
    """The model name that Linux gives, which `platform.processor` does not know."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.machine()
