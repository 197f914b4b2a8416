"""The key of a mounted Secret, for a program that lives through rotations. To be copied; needs Python 3.9."""

import pathlib
import time
import urllib.error
import urllib.request


class MountedKey:
    """Reads the line to send from the Secret's directory: again when it is older than max_age seconds, or was refused."""

    def __init__(self, directory, max_age=5.0):
        self._file = pathlib.Path(directory, "header")
        self._max_age = max_age
        self._header = None
        self._read_at = float("-inf")

    def header(self):
        """As ("Authorization", "Bearer …")."""
        if time.monotonic() - self._read_at > self._max_age:
            self._read()
        return self._header

    def forget(self):
        """Reads again at the next call."""
        self._read_at = float("-inf")

    def _read(self):
        try:
            name, value = self._file.read_text().split(":", 1)
        except OSError:
            # A swap of the files can get in between: what was read before is still good.
            if self._header is None:
                raise
            return
        self._header = (name, value.strip())
        self._read_at = time.monotonic()


def open_with_key(key, url, data=None):
    """As urllib.request.urlopen, with the key, and once more with a fresh one when it is refused."""
    try:
        return _open(key, url, data)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        error.close()
    key.forget()
    return _open(key, url, data)


def _open(key, url, data):
    request = urllib.request.Request(url, data)
    request.add_header(*key.header())
    return urllib.request.urlopen(request, timeout=10)
