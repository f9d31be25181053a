"""The checks of scim2-tester, against our WSGI application."""

from __future__ import annotations

import pytest
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from portal.wsgi import application
from tests.scim.conftest import TOKEN

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.apart]


def test_every_check_of_conformance_passes(settings, ruth):
    settings.SCIM_TOKEN, settings.URL, settings.ALLOWED_HOSTS = TOKEN, "http://testserver", ["testserver"]
    client = WSGISCIMClient(
        application, base_url="http://testserver/scim/v2", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    results = check_server(client)
    bad = [f"{each.title}: {each.reason}" for each in results if each.status in {Status.ERROR, Status.CRITICAL}]
    assert not bad, "\n".join(bad)
    assert sum(each.status == Status.SUCCESS for each in results) > 50
