"""Loading a file of somebody else's as a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_file(path: Path) -> ModuleType:
    """Run a file as the module that is called after it, with its folder first on the path; return the module.

    What lies beside the file can be imported, as when it is run. Raises whatever the file raises.
    """
    if sys.path[0] != str(path.parent):
        sys.path.insert(0, str(path.parent))
    return run_file(path, path.stem)


def run_file(path: Path, name: str) -> ModuleType:
    """Run a file as the module of that name; return the module. Raises whatever the file raises."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
