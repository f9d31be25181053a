"""`-p tests.ground.no_skips`: with KEYDESK_NO_SKIPS=1 a skipped test fails, for the run that has it all."""

import os

import pytest


def _refused(report):
    if os.environ.get("KEYDESK_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason} (nothing may be skipped in this run)"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _refused((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _refused((yield))
