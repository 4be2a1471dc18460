"""Which folder and file each entity has: one `Namer` for the folders, one for the files of each folder."""

from holdfast.store.backends.file.files import SUFFIX
from holdfast.store.backends.file.names import Namer
from holdfast.store.base import Key

__all__ = ("Places",)


class Places:
    """The folder and file of every key below one root; used by one thread at a time."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folders = Namer()
        self._files: dict[str, Namer] = {}

    def claim(self, key: Key, folder: str, file_name: str) -> bool:
        """Record where `key` was found; False where it cannot be stored there, or is stored elsewhere."""
        if not self._folders.claim(key.entity_name, folder):
            return False
        return self._namer(key).claim(key.entity_id, file_name.removesuffix(SUFFIX))

    def reserve(self, entity_name: str, file_name: str) -> None:
        """Keep the name of a file that could not be read from being given to another entity."""
        self._files.setdefault(entity_name, Namer()).reserve(file_name.removesuffix(SUFFIX))

    def of(self, key: Key) -> tuple[str, str]:
        """Return the folder and the file name of `key`, choosing them if it has none yet."""
        folder = self._folders.get(key.entity_name)
        return f"{self.root}/{folder}", f"{self._namer(key).get(key.entity_id)}{SUFFIX}"

    def find(self, key: Key) -> str | None:
        """Return the path of `key`, None where it has no place."""
        name = self._namer(key).find(key.entity_id)
        if name is None:
            return None
        return f"{self.root}/{self._folders.get(key.entity_name)}/{name}{SUFFIX}"

    def free(self, key: Key) -> None:
        """Forget where `key` was."""
        self._namer(key).free(key.entity_id)

    def _namer(self, key: Key) -> Namer:
        return self._files.setdefault(key.entity_name, Namer())
