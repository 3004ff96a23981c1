"""What the process that imports a project and runs its steps is told when it is started.

It is told on its command line, as plain words, so that nothing must be loaded to write or to read them (decision 0012).
"""

LINE = 3
"""Number of the descriptor on which a process of this machine finds the connected socket to whoever started it."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that tell numerical libraries how many threads to start."""


class StorePlace:
    """Where a store is, as every process that works with it is told.

    Attributes:
        address: path of a folder of this machine, from the root.
    """

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        self.address = address


class ProjectCode:
    """The code that a host imports: a project file, or a pipeline that a notebook has handed over.

    Attributes:
        file: path of the project file, from the root; empty for a pipeline of a notebook.
        module: name under which the file is imported, such as "shop.flow"; found from the file's place when empty.
        pickled: path of a file that holds the notebook's pipeline, written by the process that starts the host.
    """

    __slots__ = ("file", "module", "pickled")

    def __init__(self, file: str = "", module: str = "", pickled: str = "") -> None:
        self.file = file
        self.module = module
        self.pickled = pickled


class HostSetup:
    """What a host is to do.

    Attributes:
        store: where it finds inputs and leaves results.
        code: what it imports.
        foreign: whether it runs under another environment than the project's own.
    """

    __slots__ = ("code", "foreign", "store")

    def __init__(self, store: StorePlace, code: ProjectCode, *, foreign: bool = False) -> None:
        self.store = store
        self.code = code
        self.foreign = foreign

    def words(self, line: int = LINE) -> list[str]:
        """The setup as words of a command line, for a process that has its socket at descriptor `line`."""
        how = ["foreign"] if self.foreign else []
        return [str(line), self.store.address, self.code.file, self.code.module, self.code.pickled, *how]

    @classmethod
    def from_words(cls, words: list[str]) -> "tuple[int, HostSetup]":
        """Read what `words` gives: the descriptor of the socket, and the setup."""
        line, store, file, module, pickled, *how = words
        return int(line), cls(StorePlace(store), ProjectCode(file, module, pickled), foreign="foreign" in how)
