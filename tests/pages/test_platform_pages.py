"""Gateways and key roles: forms that say what is wrong, and a master key that never comes back."""

from __future__ import annotations

import pytest
from django.urls import reverse

from keys.models import Gateway, KeyRole
from keys.models.gateway import SANDBOX_URL
from portal.litellm.faults import refused
from tests.pages.conftest import HTMX, form_of, text

pytestmark = pytest.mark.django_db(transaction=True)
PLATFORM = ["keys:roles", "keys:role_new", "keys:gateways", "keys:gateway_new", "teams:new"]


@pytest.mark.parametrize("name", PLATFORM)
def test_a_member_reads_that_platform_pages_are_not_theirs(client, alice, name):
    client.force_login(alice)
    answer = client.get(reverse(name))
    assert answer.status_code == 403
    assert "You may not" in text(answer)
    assert "A platform admin can" in text(answer)


def test_the_rail_offers_the_platform_only_to_who_may_see_it(client, alice, audra):
    client.force_login(alice)
    assert reverse("keys:gateways") not in client.get("/").content.decode()
    client.force_login(audra)
    assert reverse("keys:gateways") in client.get("/").content.decode()


def test_the_master_key_is_never_shown_again(sandbox, ruth, as_person):
    client = as_person(ruth)
    secret = sandbox.gateway.master_key
    pages = [reverse("keys:gateways"), reverse("keys:gateway", args=[sandbox.gateway.pk])]
    pages += [reverse("keys:gateway_edit", args=[sandbox.gateway.pk])]
    pages += [f"/admin/keys/gateway/{sandbox.gateway.pk}/change/", "/admin/keys/gateway/"]
    for url in pages:
        assert secret not in client.get(url).content.decode()
    form = client.get(reverse("keys:gateway_edit", args=[sandbox.gateway.pk])).content.decode()
    assert "stored; leave empty to keep" in form


def test_a_refused_gateway_form_does_not_give_the_master_key_back(sandbox, ruth, as_person):
    sent = {"name": "eu", "base_url": "https://x.example", "master_key": "sk-typed-here", "ttl": "1h30m"}
    answer = as_person(ruth).post(reverse("keys:gateway_new"), sent)
    assert answer.status_code == 422
    assert "sk-typed-here" not in answer.content.decode()
    assert 'value="https://x.example"' in answer.content.decode()
    assert "write 90m" in text(answer)


def test_a_gateway_that_does_not_answer_is_not_saved_and_that_is_said(sandbox, ruth, as_person, monkeypatch):
    sandbox.faults.fail_next("*", refused(), times=20)
    url = reverse("keys:gateway_edit", args=[sandbox.gateway.pk])
    client = as_person(ruth)
    sent = form_of(client.get(url)) | {"timeout": "7"}
    answer = client.post(url, sent)
    assert answer.status_code == 503
    assert "does not answer" in text(answer)
    assert "Nothing was saved." in text(answer)
    assert Gateway.objects.get().timeout != 7


def test_saving_a_gateway_keeps_what_it_said_about_itself(sandbox, ruth, as_person):
    url = reverse("keys:gateway_edit", args=[sandbox.gateway.pk])
    client = as_person(ruth)
    done = client.post(url, form_of(client.get(url)) | {"timeout": "7"}, follow=True)
    assert "answers, and is saved." in text(done)
    assert "1.106.2" in text(done)
    assert "gpt-4o-mini" in text(done)
    assert "A simulator" in text(done)


def test_a_first_gateway_can_be_connected_by_its_form(ruth, as_person, settings):
    client = as_person(ruth)
    form = form_of(client.get(reverse("keys:gateway_new")))
    sent = form | {"name": "first", "base_url": SANDBOX_URL, "master_key": "sk-0123456789abcdef"}
    done = client.post(reverse("keys:gateway_new"), sent, follow=True)
    assert "first answers, and is saved." in text(done)
    assert Gateway.objects.get().is_default


def test_asking_a_gateway_now_says_how_it_is(sandbox, ruth, as_person):
    url = reverse("keys:gateway_check", args=[sandbox.gateway.pk])
    client = as_person(ruth)
    assert "sandbox answers." in text(client.post(url, follow=True))
    sandbox.faults.fail_next("*", refused(), times=20)
    assert "does not answer" in text(client.post(url, follow=True))


def role_form(client, **changes):
    return form_of(client.get(reverse("keys:role_new")), "role") | changes


def test_a_key_role_is_made_with_ticked_and_written_models(sandbox, ruth, team, as_person):
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini"])
    client = as_person(ruth)
    sent = role_form(client, name="coding", models=["gpt-4o"], more_models="openai/*  local-1", teams=[str(team.pk)])
    done = client.post(reverse("keys:role_new"), sent, follow=True)
    assert done.status_code == 200
    role = KeyRole.objects.get()
    assert role.models == ["gpt-4o", "openai/*", "local-1"]
    assert "coding is saved." in text(done)
    assert "Search Platform" in text(done)


def test_changing_a_role_keeps_what_was_not_touched(make_role, sandbox, ruth, as_person):
    role = make_role(metadata={"cost": "42"}, rpm_limit=60)
    url = reverse("keys:role_edit", args=[role.pk])
    client = as_person(ruth)
    page = client.get(url)
    sent = form_of(page, "role") | {"max_budget": "10", "metadata": "cost=42", "budget_duration": "1mo"}
    assert client.post(url, sent).status_code == 302
    role.refresh_from_db()
    assert (role.max_budget, role.rpm_limit, role.metadata, role.models) == (
        10, 60, {"cost": "42"}, ["gpt-4o-mini", "gpt-4o"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Not A Name"}, "Letters, digits"),
        ({"which": "some", "more_models": ""}, "Name at least one model"),
        ({"who": "some", "teams": []}, "Choose the teams"),
        ({"ttl": "60d", "max_ttl": "30d"}, "cannot be longer"),
        ({"metadata": "nonsense"}, "one name=value a line"),
    ],
)
def test_a_refused_role_names_the_field_and_keeps_the_input(sandbox, ruth, as_person, changes, words):
    client = as_person(ruth)
    sent = role_form(client, name="kept", more_models="gpt-4o", who="all", description="kept words") | changes
    answer = client.post(reverse("keys:role_new"), sent)
    assert answer.status_code == 422
    assert words in text(answer)
    assert 'value="kept words"' in answer.content.decode()
    assert "aria-describedby" in answer.content.decode()
    assert not KeyRole.objects.exists()


def test_a_name_that_is_taken_is_said(make_role, ruth, as_person):
    make_role()
    client = as_person(ruth)
    answer = client.post(reverse("keys:role_new"), role_form(client, name="coding", more_models="gpt-4o", who="all"))
    assert answer.status_code == 422
    assert "already exists" in text(answer)


def test_the_most_a_key_can_cost_is_worked_out_while_the_role_is_written(sandbox, ruth, as_person):
    client = as_person(ruth)
    part = client.get(
        reverse("keys:role_new"), role_form(client, max_budget="30", ttl="24h", budget_duration=""), headers=HTMX
    )
    assert "<html" not in part.content.decode()
    assert "The most it can cost $30.00" in text(part)
    free = client.get(reverse("keys:role_new"), role_form(client, max_budget="", which="all"), headers=HTMX)
    assert "Every model, without a limit" in text(free)


def test_the_role_form_is_sent_unfinished_too_so_that_its_slip_follows(sandbox, ruth, as_person):
    page = as_person(ruth).get(reverse("keys:role_new")).content.decode()
    form = page[page.index("<form", page.index("<main")) :]
    assert "novalidate" in form[: form.index(">")]  # htmx keeps back a form that the browser calls invalid


def test_without_a_gateway_the_role_pages_say_what_comes_first(db, ruth, as_person):
    for name in ("keys:roles", "keys:role_new"):
        assert "No gateway, so no key role" in text(as_person(ruth).get(reverse(name)))


def test_another_gateway_brings_its_own_models_into_the_role_form(sandbox, ruth, as_person):
    other = Gateway.objects.create(name="eu", base_url="https://eu.example", master_key="sk-x", models_seen=["mistral"])
    client = as_person(ruth)
    part = client.get(reverse("keys:role_new"), role_form(client, gateway=str(other.pk)), headers=HTMX).content.decode()
    assert "hx-swap-oob" in part
    assert "mistral" in part
