"""Find every concrete class that must have a contract case, by importing every module."""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator


def import_all(package: str) -> list[str]:
    """Import a package and every module below it; return their names, none if it is absent."""
    if importlib.util.find_spec(package) is None:
        return []
    root = importlib.import_module(package)
    names = [package]
    for info in pkgutil.walk_packages(root.__path__, f"{package}."):
        importlib.import_module(info.name)
        names.append(info.name)
    return names


def concrete_subclasses(cls: type, package: str) -> set[type]:
    """Public, concrete subclasses of cls at any depth that are defined in the package."""
    found: set[type] = set()
    for subclass in cls.__subclasses__():
        found |= concrete_subclasses(subclass, package)
        if _counts(subclass, package):
            found.add(subclass)
    return found


def concrete_classes(
    package: str, methods: tuple[str, ...], parameters: tuple[str, ...]
) -> set[type]:
    """Public, concrete classes of the package, one of whose methods takes all the parameters."""
    classes = (cls for name in import_all(package) for cls in _classes_of(name))
    return {
        cls
        for cls in classes
        if _counts(cls, package) and any(_takes(cls, name, set(parameters)) for name in methods)
    }


def _takes(cls: type, method: str, parameters: set[str]) -> bool:
    owner = next((base for base in cls.__mro__ if method in vars(base)), object)
    if owner is object:
        return False
    return parameters <= set(inspect.signature(vars(owner)[method]).parameters)


def _classes_of(module: str) -> Iterator[type]:
    for _, cls in inspect.getmembers(importlib.import_module(module), inspect.isclass):
        yield cls


def _counts(cls: type, package: str) -> bool:
    return (
        not inspect.isabstract(cls)
        and not getattr(cls, "_is_protocol", False)
        and not cls.__name__.startswith("_")
        and f"{cls.__module__}.".startswith(f"{package}.")
    )
