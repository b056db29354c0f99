"""A cache for each test, so that none finds another's entries."""

import pytest

from lipsync_fast.files import cache


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory, monkeypatch):
    """The user's cache: its folder, which does not exist yet."""
    place = tmp_path_factory.mktemp("cache") / "lipsync_fast"
    monkeypatch.setattr(cache, "cache_folder", lambda: place)
    return place


@pytest.fixture
def kept_models(user_cache):
    """Lists the models in the cache."""
    return lambda: sorted((user_cache / "models").glob("*.onnx"))
