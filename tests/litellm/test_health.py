import pytest

from portal.litellm import errors
from tests.litellm.servers import BASE


def test_a_sign_of_life_is_a_sentence(client, proxy):
    proxy.get(f"{BASE}/health/liveliness", json="I'm alive!")
    assert client.health.liveliness() == "I'm alive!"


def test_readiness_tells_of_the_database(client, proxy):
    proxy.get(f"{BASE}/health/readiness", json={"status": "healthy", "db": "connected"})
    assert client.health.readiness().db == "connected"


def test_a_proxy_without_its_database_is_a_server_error(client, proxy):
    proxy.get(
        f"{BASE}/health/readiness",
        json={"error": {"message": "DB away", "type": "no_db_connection"}},
        status=503,
    )
    with pytest.raises(errors.ServerError) as away:
        client.health.readiness()
    assert away.value.kind == "no_db_connection"


def test_the_version_comes_from_the_details(client, proxy):
    details = {"status": "healthy", "db": "connected", "litellm_version": "1.106.2", "cache": None}
    proxy.get(f"{BASE}/health/readiness/details", json=details)
    assert client.health.server_version() == "1.106.2"
    assert client.health.details().extra == {"cache": None}


def test_the_licence_tells_its_features(client, proxy):
    licence = {
        "has_license": False,
        "license_type": "community",
        "expiration_date": None,
        "allowed_features": [],
    }
    proxy.get(f"{BASE}/health/license", json={**licence, "limits": {"max_users": None}})
    found = client.health.licence()
    assert (found.has_license, found.license_type, found.limits) == (False, "community", {"max_users": None})
