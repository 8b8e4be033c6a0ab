"""Says which program this is: its commit, and the versions that can change its numbers."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

REPORTED_VERSIONS = ("torch", "torch-geometric", "transformers", "ladybug", "polars", "numpy", "scipy", "scikit-learn")


def program_commit() -> str | None:
    """Return the commit of the checkout this program runs from; None where there is none."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None


def program_versions() -> dict[str, str]:
    """Return the versions that can change the numbers."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in REPORTED_VERSIONS}}
