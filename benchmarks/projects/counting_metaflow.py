"""Writes the same steps as Metaflow flows: every flow needs a first and a last step, so those two are always there."""

_HEAD = "import os\nfrom metaflow import FlowSpec, step\n\n\nclass Counting(FlowSpec):\n"
_TAIL = '\n\nif __name__ == "__main__":\n    Counting()\n'


def chain(steps: int, fails: bool = False) -> str:
    """Each step waits for the one before; with `fails` the last one does, until HEALED is set."""
    names = ["start", *(f"more_{number}" for number in range(steps - 2)), "end"]
    text = _HEAD
    for place, name in enumerate(names):
        text += f"    @step\n    def {name}(self):\n"
        text += "        self.number = getattr(self, 'number', 0) + 1\n"
        if name != "end":
            text += f"        self.next(self.{names[place + 1]})\n\n"
        elif fails:
            text += "        if 'HEALED' not in os.environ:\n            raise ValueError('not yet')\n"
    return text + _TAIL


def fan(steps: int) -> str:
    """No step waits for another; a first one starts them and one joins them."""
    return (
        f"{_HEAD}    @step\n    def start(self):\n        self.items = list(range({steps}))\n"
        "        self.next(self.more, foreach='items')\n\n"
        "    @step\n    def more(self):\n        self.number = self.input + 1\n        self.next(self.join)\n\n"
        "    @step\n    def join(self, inputs):\n        self.next(self.end)\n\n"
        f"    @step\n    def end(self):\n        pass\n{_TAIL}"
    )
