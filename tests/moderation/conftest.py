import asyncio
import json
import threading

import httpx
import pytest

from guard_integrations.core.moderation import Moderator
from guard_integrations.core.moderation.decision import CATEGORIES_2603


def result(taxonomy=CATEGORIES_2603, **scores):
    """One result of the API: zero everywhere but where a score is given; 0.5 and more is flagged."""
    full = dict.fromkeys(sorted(taxonomy), 0.0) | scores
    return {"categories": {name: score >= 0.5 for name, score in full.items()}, "category_scores": full}


def judge(text):
    """The classifier of these tests: a category's name in a text is a hit."""
    return result(**{name: 0.9 for name in CATEGORIES_2603 if name in text})


class Api:
    """A Mistral API at the wire: answers as `judge` says, or as `reply` does."""

    def __init__(self):
        self.requests = []
        self.delay = 0.0
        self.reply = None
        self.running = self.most_running = 0
        self.lock = threading.Lock()

    @property
    def transport(self):
        return httpx.MockTransport(self._handle)

    async def _handle(self, request):
        body = json.loads(request.content)
        self.requests.append((request.url.path, body))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.running -= 1
        if self.reply is not None:
            return self.reply(request)
        inputs = (
            body["input"] if request.url.path.endswith("/v1/moderations") else [t[-1]["content"] for t in body["input"]]
        )
        return httpx.Response(200, json={"id": "mod-1", "model": body["model"], "results": [judge(t) for t in inputs]})


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def make(api):
    made = []

    def build(**settings):
        moderator = Moderator(**{"keys": "test-key", "transport": api.transport, **settings})
        made.append(moderator)
        return moderator

    yield build
    for moderator in made:
        moderator.close()
