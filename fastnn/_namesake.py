"""A warning if the other distribution that provides a package called `fastnn` is installed over this one."""

import os

from fastnn._warnings import warn

__all__ = ["warn_of_namesake"]


def warn_of_namesake(package: str) -> None:
    """Warn if the folder that holds the package also holds the metadata of a distribution named `fastnn`."""
    try:
        names = os.listdir(os.path.dirname(package))
    except OSError:  # imported from an archive
        return
    found = [name for name in names if name.startswith("fastnn-") and name.endswith(".dist-info")]
    if found:
        warn(
            f"another distribution named fastnn is installed ({found[0]}). It and fastnn-cpu write the same files, and "
            "one of them is broken. Cure: pip uninstall fastnn fastnn-cpu, then install fastnn-cpu again",
            RuntimeWarning,
        )
