"""A scripted OpenAI-compatible server over real HTTP, to test what calls such an API.

    from openai import OpenAI
    from toolgen_hf.testing import ApiServer, Reply, per_body

    with ApiServer(per_body(Reply(status=500), "calculator(1+1)")) as server:
        client = OpenAI(base_url=server.base_url, api_key="sk-any")
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "1+1?"}])
        assert [request.user for request in server.requests] == ["1+1?", "1+1?"]  # the client tried again

It serves chat completions, completions, models, files and batches, and fails in every way that a script asks for.
``python -m toolgen_hf.testing`` runs it as a process of its own.
"""

from toolgen_hf.testing.messages import ApiRequest, Reply, Script
from toolgen_hf.testing.scripts import first, per_body, rate_limited
from toolgen_hf.testing.server import ApiServer

__all__ = ["ApiRequest", "ApiServer", "Reply", "Script", "first", "per_body", "rate_limited"]
