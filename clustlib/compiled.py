"""numba's decorators with a cache on disk that knows the code: compiled code is kept under the mark of what it runs.

numba itself keeps compiled code beside the source file and compares that file alone: a function goes on running an old
copy of one that another file defines, and an installation that cannot be written fails. Here the key is the mark of
the function and of everything that it calls (:mod:`clustlib.sources`), and the place is the user's cache
(``XDG_CACHE_HOME`` moves it), or memory where that cannot be written.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache, _Cache, _CacheLocator

from clustlib import sources


@cache
def folder() -> Path:
    """``compiled`` in the user's cache; ``CLUSTLIB_COMPILED`` names another folder."""
    if given := os.environ.get("CLUSTLIB_COMPILED"):
        return Path(given)
    import pooch

    return Path(pooch.os_cache("clustlib")) / "compiled"


def mark_of(function: Callable) -> str:
    """The mark of the top-level definition that ``function`` is, or is made in."""
    return sources.running().mark([f"{function.__module__}:{function.__qualname__.split('.')[0]}"])


class _UnderItsMark(_CacheLocator):
    """Where numba looks for one function's compiled code, and what tells it that the code is the same."""

    def __init__(self, function: Callable, file: str):
        self._py_file = file
        self._mark = mark_of(function)

    def get_cache_path(self) -> str:
        return str(folder() / self._mark)

    def get_source_stamp(self) -> str:
        return self._mark

    def get_disambiguator(self) -> str:
        return self._mark[:8]

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> "_UnderItsMark":
        return cls(py_func, py_file)


class _Kept(CompileResultCacheImpl):
    _locator_classes = [_UnderItsMark]  # noqa: RUF012 (numba's own name and type)


class _OnDisk(FunctionCache):
    _impl_class = _Kept


class _WhenNeeded(_Cache):
    """The cache of one function, looked up when the function is first compiled: importing a module reads no source."""

    def __init__(self, function: Callable):
        self._function = function
        self._found: Any = None

    def _cache(self) -> Any:
        if self._found is None:
            try:
                on_disk = _OnDisk(self._function)
                on_disk._impl.locator.ensure_cache_path()
                self._found = on_disk
            except (OSError, LookupError):  # no place to write, or a function that no file defines: memory serves
                self._found = NullCache()
        return self._found

    @property
    def cache_path(self) -> Any:
        return self._cache().cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._cache().load_overload(sig, target_context)
        except Exception:  # a damaged file, or another numba's: compiled again
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            self._cache().save_overload(sig, data)
        except Exception:  # a full disk or a damaged index costs the file, not the result
            self._found = NullCache()

    def enable(self) -> None:
        self._cache().enable()

    def disable(self) -> None:
        self._found = NullCache()

    def flush(self) -> None:
        self._cache().flush()


def njit(**options: Any) -> Callable[[Callable], Any]:
    """:func:`numba.njit` with these options, its results kept under the function's mark."""

    def decorate(function: Callable) -> Any:
        compiled = numba.njit(**options)(function)
        if compiled is not function:  # NUMBA_DISABLE_JIT leaves it as it is
            compiled._cache = _WhenNeeded(function)
        return compiled

    return decorate


def vectorize(*signatures: str) -> Callable[[Callable], Any]:
    """:func:`numba.vectorize` for these signatures, its results kept under the function's mark."""

    def decorate(function: Callable) -> Any:
        if numba.config.DISABLE_JIT:
            return numba.vectorize(list(signatures))(function)
        compiled = numba.vectorize()(function)
        compiled._dispatcher.cache = _WhenNeeded(function)
        for signature in signatures:
            compiled.add(signature)
        compiled.disable_compile()
        return compiled

    return decorate
