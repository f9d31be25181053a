"""Where a gateway may be: never where clouds keep credentials, and only where the installation says."""

from __future__ import annotations

import pytest

from keys.models import Gateway
from keys.models.gateway import SANDBOX_URL
from keys.services import gateways
from keys.services.addresses import wrong_address
from keys.services.errors import GatewayNotAllowed
from portal.errors import Invalid
from teams.access import SYSTEM


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254", "https://169.254.0.1:4000/x", "http://2852039166/", "http://0xa9fea9fe",
        "http://0251.0376.0251.0376", "http://169.254.43518", "http://[fe80::1]:4000", "http://[fe80::1%25eth0]",
        "http://[::ffff:169.254.169.254]", "http://[fd00:ec2::254]/", "http://169.254.169.254./",
    ],
)  # fmt: skip
@pytest.mark.parametrize("called", [True, False])
def test_link_local_addresses_never_are(url, called):
    assert "Link-local" in wrong_address(url, called=called)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x", "ftp://x", "//x", "x", "http://", "http://a:b@x", "http://x:99999"]
)
def test_only_http_is_an_address(url):
    assert wrong_address(url, called=True)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.9:4000", "https://llm.example.com/v1", "http://localhost:4000", SANDBOX_URL]
)
def test_others_are_without_a_list(url):
    assert wrong_address(url, called=True) == ""


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://llm.example.com", True), ("https://llm.example.com:8443", True), ("http://a.internal:4000", True),
        ("http://a.internal", False), ("http://a.internal:4001", False), ("https://llm.example.com.evil.test", False),
        ("https://evil.test/llm.example.com", False), ("https://evil.test#llm.example.com", False),
        ("https://LLM.example.com", True), (SANDBOX_URL, True),
    ],
)  # fmt: skip
def test_with_a_list_only_what_is_on_it(settings, url, fits):
    settings.GATEWAY_HOSTS = ["llm.example.com", "*.internal:4000"]
    found = wrong_address(url, called=True)
    assert (found == "") is fits
    assert fits or "llm.example.com, *.internal:4000" in found
    assert wrong_address(url, called=False) == ""  # where holders reach it may be elsewhere


@pytest.mark.django_db
def test_it_is_checked_when_it_is_saved_and_whenever_it_is_called(sandbox, settings, ruth):
    with pytest.raises(Invalid) as refused:
        gateways.make(by=ruth, name="bad", base_url="http://169.254.169.254", master_key="x", check_first=False)
    assert "Link-local" in refused.value.details["base_url"]
    Gateway.objects.filter(pk=sandbox.gateway.pk).update(base_url="http://llm.example.com")
    settings.GATEWAY_HOSTS = ["other.example.com"]
    with pytest.raises(GatewayNotAllowed, match=r"other\.example\.com"), gateways.calling(sandbox.gateway, by=SYSTEM):
        pytest.fail("a line was opened")
