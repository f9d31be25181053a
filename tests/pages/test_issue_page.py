"""Get a key: the slip before, the secret once, and what a reload shows."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.sessions.models import Session
from django.core import serializers
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from keys.models import Gateway, KeyRole, KeyVersion, Lease
from portal.forms import MoneyField
from portal.litellm.faults import refused, server_error
from tests.pages.conftest import HTMX, form_of, secret_in, text

pytestmark = pytest.mark.django_db(transaction=True)
ISSUE = "/keys/new/"


@pytest.fixture
def counter(sandbox, team, alice, make_role, as_person):
    make_role()
    return as_person(alice)


def issue(client, **changes):
    return client.post(ISSUE, form_of(client.get(ISSUE), "issue") | changes)


def test_the_slip_says_before_pressing_what_it_costs_when_it_ends_and_what_happens(counter):
    page = text(counter.get(ISSUE))
    ends = timezone.now() + timedelta(days=30)
    assert f"{ends.day} {ends:%b %Y}" in page
    assert "The most it can cost $100.00" in page
    assert "it touches 2 budget windows, $50.00 each" in page
    assert "Issued at once" in page


def test_a_changed_query_is_worked_out_again_and_keeps_what_was_asked(counter):
    page = counter.get(ISSUE, {"ttl": "8h", "max_budget": "$12.50", "name": "laptop", "models": "gpt-4o"})
    assert "The most it can cost $12.50" in text(page)
    assert "in 8 hours" in text(page)
    assert "2 not gpt-4o-mini" in text(page)
    assert 'value="laptop"' in page.content.decode()


def test_htmx_gets_the_slip_alone(counter):
    part = counter.get(ISSUE, {"ttl": "8h"}, headers=HTMX)
    assert "<html" not in part.content.decode()
    assert "in 8 hours" in text(part)
    assert "hx-swap-oob" not in part.content.decode()


def test_htmx_gets_the_stale_steps_beside_the_slip_when_the_role_changes(counter, make_role):
    other = make_role(name="demo", max_budget=5, budget_duration="", models=["gpt-4o"])
    sent = form_of(counter.get(ISSUE, {"role": other.pk}), "issue")
    sent["role"] = str(KeyRole.objects.get(name="coding").pk)
    part = counter.get(ISSUE, sent, headers=HTMX).content.decode()
    assert 'id="step-narrow" hx-swap-oob="true"' in " ".join(part.split())
    assert 'value="50.00"' in part


def test_the_secret_is_in_one_answer_that_nobody_may_keep(counter):
    done = issue(counter, name="laptop")
    secret = secret_in(done)
    assert "no-store" in done["Cache-Control"]
    assert 'hx-history="false"' in done.content.decode()
    assert done.content.decode().count(secret) == 2  # the slab, and the one snippet that exports it
    assert secret not in counter.get(reverse("keys:lease", args=[Lease.objects.get().pk])).content.decode()


def test_the_secret_is_in_no_row_and_no_session(counter):
    secret = secret_in(issue(counter))
    rows = [*Lease.objects.all(), *KeyVersion.objects.all(), *Session.objects.all()]
    assert secret not in serializers.serialize("json", rows)
    assert secret not in str(dict(counter.session))
    assert all(secret not in str(session.get_decoded()) for session in Session.objects.all())


def test_a_reload_shows_the_lease_and_makes_no_second_key(counter, sandbox, team):
    sent = form_of(counter.get(ISSUE), "issue")
    counter.post(ISSUE, sent)
    again = counter.post(ISSUE, sent, follow=True)
    lease = Lease.objects.get()
    assert again.redirect_chain[-1][0] == f"{reverse('keys:lease', args=[lease.pk])}?unseen=1"
    assert "already issued its key" in text(again)
    assert "Did not copy the secret? It cannot be shown again." in text(again)
    assert sandbox.balances(team)


def test_a_reload_shows_the_lease_even_when_no_further_key_is_allowed(counter, make_role):
    role = make_role(name="single", max_live_keys=1)
    sent = form_of(counter.get(ISSUE, {"role": role.pk}), "issue")
    assert counter.post(ISSUE, sent).status_code == 200
    assert counter.post(ISSUE, sent).status_code == 302


def test_without_script_another_role_is_shown_before_it_is_issued(counter, make_role):
    other = make_role(name="demo", max_budget=5, budget_duration="")
    sent = form_of(counter.get(ISSUE), "issue") | {"role": str(other.pk)}
    shown = counter.post(ISSUE, sent)
    assert shown.status_code == 409
    assert "other terms than you saw" in text(shown)
    assert "The most it can cost $5.00" in text(shown)
    assert not Lease.objects.exists()
    assert counter.post(ISSUE, form_of(shown, "issue")).status_code == 200


def test_a_role_that_changed_meanwhile_is_shown_before_it_is_issued(counter):
    sent = form_of(counter.get(ISSUE), "issue")
    role = KeyRole.objects.get()
    role.version, role.max_budget = 2, 500
    role.save()
    assert counter.post(ISSUE, sent).status_code == 409
    assert not Lease.objects.exists()


def test_work_it_out_again_goes_to_an_address_without_tokens(counter):
    sent = form_of(counter.get(ISSUE), "issue") | {"look": "1", "ttl": "8h", "purpose": "A talk"}
    there = counter.post(ISSUE, sent)
    assert there.status_code == 302
    assert "csrf" not in there["Location"]
    assert "once" not in there["Location"]
    assert "in 8 hours" in text(counter.get(there["Location"]))
    assert not Lease.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"ttl": "other", "ttl_other": "1h30m"}, "id_ttl_error", "write 90m"),
        ({"ttl": "90d"}, "id_ttl_error", "30d"),
        ({"max_budget": "80"}, "id_max_budget_error", "$50.00"),
        ({"max_budget": "many"}, "id_max_budget_error", "number"),
        ({"models": ["gpt-4o", "claude-sonnet"]}, "id_models_error", "claude-sonnet"),
    ],
)
def test_what_is_refused_is_said_at_its_field_and_the_input_stays(counter, changes, field, words):
    refusal = issue(counter, name="kept name", **changes)
    page = refusal.content.decode()
    assert refusal.status_code == 422
    error = re.search(rf'id="{field}"(.*?)</p>', page, flags=re.DOTALL)
    assert error
    assert words in error.group(1)
    assert field in " ".join(re.findall(r'aria-describedby="([^"]*)"', page))
    assert "data-focus" in page
    assert 'value="kept name"' in page
    assert not Lease.objects.exists()


def test_no_model_at_all_is_refused(counter):
    sent = form_of(counter.get(ISSUE), "issue")
    del sent["models"]
    refusal = counter.post(ISSUE, sent)
    assert refusal.status_code == 422
    assert "Choose at least one model." in text(refusal)


def test_a_gateway_that_is_away_is_said_and_the_form_stays(counter, sandbox, team):
    sandbox.faults.fail_next("*", refused(), times=20)
    answer = issue(counter, name="kept name")
    assert answer.status_code == 503
    assert "sandbox does not answer" in text(answer)
    assert "No key was made." in text(answer)
    assert 'value="kept name"' in answer.content.decode()
    sandbox.faults.clear()
    assert sandbox.balances(team)


def test_the_slip_warns_of_a_gateway_that_did_not_answer(counter):
    Gateway.objects.update(away_since=timezone.now())
    assert "sandbox did not answer at" in text(counter.get(ISSUE))


def test_a_trial_that_fails_is_told_and_the_key_is_shown_all_the_same(counter, sandbox):
    sent = form_of(counter.get(ISSUE), "issue")
    sandbox.faults.fail_next("/model_group/info", server_error())
    done = counter.post(ISSUE, sent)
    assert secret_in(done)
    assert "The first look with it failed" in text(done)
    assert "works." not in text(done)


def test_the_page_says_what_was_tried_and_claims_no_paid_call(counter):
    page = text(issue(counter))
    assert "Expiry read back and right" in page
    assert "no model was called" in page
    assert "listed two models" in page


def test_snippets_name_a_model_that_the_key_opens_and_the_address_for_holders(counter, settings):
    page = text(issue(counter, models=["gpt-4o"]))
    assert f'LITELLM_BASE_URL="{settings.URL}/sandbox"' in page
    assert page.count('"gpt-4o"') >= 4
    for tool in ("curl", "Python", "JavaScript", "Claude Code", "Codex"):
        assert tool in page


def test_a_key_for_embeddings_gets_snippets_for_embeddings(counter, make_role):
    role = make_role(name="vectors", models=["text-embedding-3-small"])
    page = text(counter.post(ISSUE, form_of(counter.get(ISSUE, {"role": role.pk}), "issue")))
    assert "/v1/embeddings" in page
    assert "Claude Code" not in page


def test_a_role_of_all_models_can_be_narrowed(counter, make_role, sandbox):
    role = make_role(name="every", all_models=True, models=[], max_budget=None, budget_duration="")
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini"])
    page = counter.get(ISSUE, {"role": role.pk})
    assert "No limit" in text(page)
    sent = form_of(page, "issue") | {"which": "some", "models": ["gpt-4o"]}
    assert counter.post(ISSUE, sent).status_code == 200
    lease = Lease.objects.get()
    assert lease.limits["models"] == ["gpt-4o"]
    assert lease.limits["all_models"] is False


def test_a_role_that_needs_an_approval_says_so_and_issues_nothing(counter, make_role):
    role = make_role(name="frontier", approval="team")
    page = counter.get(ISSUE, {"role": role.pk})
    assert "Goes to an approver" in text(page)
    assert "Issue key" not in text(page)
    assert counter.post(ISSUE, form_of(page, "issue")).status_code == 409
    assert not Lease.objects.exists()


def test_somebody_without_a_team_reads_who_can_help(sandbox, person, ruth, as_person):
    client = as_person(person("nora"))
    for url in (ISSUE, "/"):
        page = client.get(url)
        assert "You are in no team that may get keys" in text(page)
        assert "mailto:ruth@example.com" in page.content.decode()


def test_a_team_without_a_role_says_who_can_open_one(sandbox, alice, ruth, as_person):
    page = text(as_person(alice).get(ISSUE))
    assert "Only a platform admin can open one to the team." in page
    assert "Platform admin: Ruth" in page


def test_names_are_text_and_never_markup(counter):
    done = issue(counter, name="<script>alert(1)</script>")
    assert "<script>alert" not in done.content.decode()
    assert "<script>alert" not in counter.get("/").content.decode()
    nothing = counter.get("/", {"q": "<b>R&D</b>"})
    assert "<b>R&D" not in nothing.content.decode()
    assert "No key like “<b>R&D</b>”" in html.unescape(nothing.content.decode())


@pytest.mark.parametrize(
    ("typed", "shown"), [("1,5", None), ("1,50", None), ("1,000.50", "1000.5"), ("$12.50", "12.5")]
)
def test_a_decimal_comma_never_multiplies_a_budget(typed, shown):
    if shown is None:
        with pytest.raises(ValidationError, match="point"):
            MoneyField(max_digits=12, decimal_places=2).clean(typed)
    else:
        assert MoneyField(max_digits=12, decimal_places=2).clean(typed) == Decimal(shown)
