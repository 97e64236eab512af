"""Records as a test wants them: in a list, all of them there when it is looked at."""

from guard_integrations.core.queue import QueuedSink


class Kept(QueuedSink):
    """A sink that keeps what it is given; looking at it waits for what is under way."""

    def __init__(self):
        self._kept = []
        super().__init__(self._kept.append)

    @property
    def all(self):
        assert self.flush(), "the sink does not keep up"
        return self._kept

    def __iter__(self):
        return iter(self.all)

    def __len__(self):
        return len(self.all)

    def __getitem__(self, index):
        return self.all[index]

    def __repr__(self):
        return repr(self.all)
