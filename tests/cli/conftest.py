"""The commands of the Hub use the results and the repository of the tests of ``toolgen_hf.hub``."""

from tests.hub.conftest import clock, repository, sets

__all__ = ["clock", "repository", "sets"]
