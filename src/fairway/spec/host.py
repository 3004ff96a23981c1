"""The settings of a host: the process that imports a project and runs its steps.

A host gets them as plain words on its command line, so that nothing must be loaded to write or to read them
(decision 0012).
"""

LINE = 3
"""Number of the descriptor of the socket that connects a process of this machine with the process that started it."""

HASH_SEED = ("PYTHONHASHSEED", "0")
"""The variable that gives sets of texts the same order in all hosts, with its value: a step shall repeat what it did before."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that tell numerical libraries how many threads to start."""


class StorePlace:
    """The place of a store, which every process that works with the store is given.

    Attributes:
        address: the absolute path of a folder of this machine. In a pod, `relay:URL|CACHE|CREDENTIAL`: the address of the
            control plane, the folder for a cache of its store, and the file with the credential of the run. For a model
            server in a pod, `served:URL|CACHE|TOKEN|FOLDER`: the same with the file of its account's token, and the folder
            of its image that may have content.
    """

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        self.address = address


class ProjectCode:
    """The code that a host imports: a project file, or a pipeline of a notebook.

    Attributes:
        file: the absolute path of the project file. It is empty for a pipeline of a notebook.
        module: the name under which the file is imported, such as "shop.flow". If it is empty, the place of the file
            gives the name.
        pickled: the path of a file that holds the notebook's pipeline. The process that starts the host writes it.
    """

    __slots__ = ("file", "module", "pickled")

    def __init__(self, file: str = "", module: str = "", pickled: str = "") -> None:
        self.file = file
        self.module = module
        self.pickled = pickled


class HostSetup:
    """The settings of a host.

    Attributes:
        store: the store that holds its inputs and takes its results.
        code: the code that it imports.
        foreign: True when it runs under another environment than the project's own.
        keeps: True when the starter of the host keeps what attempts leave until the log of their engine has it.
    """

    __slots__ = ("code", "foreign", "keeps", "store")

    def __init__(
        self, store: StorePlace, code: ProjectCode, *, foreign: bool = False, keeps: bool = False
    ) -> None:
        self.store = store
        self.code = code
        self.foreign = foreign
        self.keeps = keeps

    def words(self, line: int = LINE) -> list[str]:
        """Return the settings as words of a command line, for a process that has its socket at descriptor `line`."""
        how = [word for word, is_so in (("foreign", self.foreign), ("keeps", self.keeps)) if is_so]
        return [str(line), self.store.address, self.code.file, self.code.module, self.code.pickled, *how]

    @classmethod
    def from_words(cls, words: list[str]) -> "tuple[int, HostSetup]":
        """Read the words that `words` returns: the descriptor of the socket, and the settings."""
        line, store, file, module, pickled, *how = words
        code = ProjectCode(file, module, pickled)
        return int(line), cls(StorePlace(store), code, foreign="foreign" in how, keeps="keeps" in how)
