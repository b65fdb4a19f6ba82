"""The `stack_cache` setting: a server that starts installs the data-stack chunk cache, unless it is 0."""

from __future__ import annotations

import pytest
from hublet.runtime import stackcache

from tests.conftest import Serving
from tests.servers.http1.apps import answering


@pytest.mark.skipif(not stackcache.is_supported(), reason="this interpreter has no such chunks")
def test_a_server_installs_the_cache(serve: Serving) -> None:
    stackcache.uninstall()
    try:
        serve(answering(list), stack_cache=0)
        assert not stackcache.statistics().installed
        served = serve(answering(list), stack_cache=7)
        assert stackcache.statistics()[:2] == (True, 7)
        before = stackcache.statistics().hits
        for _ in range(20):
            assert served.get().status == 200
        assert stackcache.statistics().hits > before
    finally:
        stackcache.uninstall()
