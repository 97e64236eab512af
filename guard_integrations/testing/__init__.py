"""A local Mistral server and a pytest fixture, for this package's tests and for yours.

    from guard_integrations.testing import MistralServer

    with MistralServer() as server:
        llm = ChatMistralAI(base_url=server.base_url, api_key=server.key)

The fixture `mistral_server` comes with the installed package. The server itself needs the extra `testing`.
"""

from guard_integrations.testing.faults import Fault
from guard_integrations.testing.keys import KeyState
from guard_integrations.testing.mistral_server import MistralServer
from guard_integrations.testing.request_log import ReceivedRequest

__all__ = ["Fault", "KeyState", "MistralServer", "ReceivedRequest"]
