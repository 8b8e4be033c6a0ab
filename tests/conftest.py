"""For all tests: one thread, every call's types and shapes checked, and a loud word where Neo4j was not tested."""

from __future__ import annotations

import torch
from _pytest.terminal import TerminalReporter
from hypothesis import settings
from jaxtyping import install_import_hook

torch.set_num_threads(1)
# Before any of the packages is imported: a module is checked from its import on.
install_import_hook(["loaders", "gnn"], "beartype.beartype")

# How long an example takes says how busy the machine is, and nothing of the program.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

MARK = "Neo4j NOT TESTED"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    without = [text for text in skipped if MARK in text]
    if without:
        reason = without[0].partition(MARK)[2].strip(": ')\"")
        terminalreporter.section(MARK, red=True, bold=True)
        terminalreporter.line(f"{len(without)} tests of the Neo4j store did not run: {reason}", red=True)
