"""A local Hugging Face Hub over real HTTP, which the real clients use by ``HF_ENDPOINT`` alone.

    from tests.support.hub import Fault, LocalHub

    with LocalHub(users={"hf_ann": "ann"}) as hub:
        api = HfApi(endpoint=hub.endpoint, token="hf_ann")
        api.create_repo("ann/set", repo_type="dataset", private=True)
        hub.fault = Fault(503).on("POST .*/commit/")
        ...
        hub.python("from datasets import load_dataset; print(load_dataset('ann/set'))", token="hf_ann")

It keeps repositories as git does, with branches, tags and pull requests; large files go to and come from a second
origin. It has no Xet: its clients run with ``HF_HUB_DISABLE_XET=1``.
"""

from tests.support.hub.faults import Fault, Plan
from tests.support.hub.files import Incoming
from tests.support.hub.messages import HubRequest
from tests.support.hub.server import LocalHub

__all__ = ["Fault", "HubRequest", "Incoming", "LocalHub", "Plan"]
