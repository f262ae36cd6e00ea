"""Ray as far as tasks name it, in one process."""

import types


class RayError(Exception):
    """What Ray raises for a task whose process died each time."""


class FakeRay(types.ModuleType):
    """Ray as far as the tasks name it; some tasks take every node down."""

    def __init__(self, *, always_dies=(), cpus=2):
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayError=RayError)
        self.always_dies, self.cpus = set(always_dies), cpus
        self.most = self.calls = 0
        self.cancelled, self.waiting, self.address = [], set(), None

    def is_initialized(self):
        return False

    def init(self, address, **_):
        if address == "nowhere":
            raise ConnectionError("Could not find any running Ray instance.")
        self.address = address

    def shutdown(self):
        self.address = None

    def cluster_resources(self):
        return {"CPU": self.cpus}

    def put(self, thing):
        return thing

    def remote(self, num_cpus, num_gpus, max_retries):
        def decorated(function):
            def call(*args):
                self.calls += 1
                reference = (self.calls, function, args)
                self.waiting.add(reference)
                self.most = max(self.most, len(self.waiting))
                return reference

            return types.SimpleNamespace(remote=call)

        return decorated

    def wait(self, references, num_returns, timeout=None):
        last_first = sorted(references, reverse=True)[: 1 if timeout is None else 3]
        return last_first, [one for one in references if one not in last_first]

    def get(self, reference):
        _, function, args = reference
        self.waiting.discard(reference)
        if args[1] in self.always_dies:
            raise RayError("The worker died unexpectedly.\nThe node is gone.")
        return function(*args)

    def cancel(self, reference, force):
        self.cancelled.append(reference)
