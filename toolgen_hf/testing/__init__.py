"""A fake OpenAI server over real HTTP, for tests of code that calls such an API.

    from openai import OpenAI
    from toolgen_hf.testing import ApiServer, Reply, per_body

    with ApiServer(per_body(Reply(status=500), "calculator(1+1)")) as server:
        client = OpenAI(base_url=server.base_url, api_key="sk-any")
        client.chat.completions.create(model="any", messages=[{"role": "user", "content": "1+1?"}])
        assert [request.user for request in server.requests] == ["1+1?", "1+1?"]  # the client tried again

It serves chat completions, completions, models, files and batches. A script decides each answer, including errors
and broken connections. ``python -m toolgen_hf.testing`` runs the server as its own process.
"""

from toolgen_hf.testing.replies import ApiRequest, Reply, Script, first, per_body, rate_limited
from toolgen_hf.testing.server import ApiServer

__all__ = ["ApiRequest", "ApiServer", "Reply", "Script", "first", "per_body", "rate_limited"]
