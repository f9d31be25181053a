"""Search from anywhere: it finds what one may see, and a pasted secret reaches no address, page or log."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from keys.services import leases
from keys.services.minting import new_secret
from portal.litellm import hash_key
from teams.models import Team
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db


@pytest.fixture
def find(as_person):
    def ask(user, words):
        return as_person(user).post(reverse("keys:find"), {"q": words})

    return ask


@pytest.mark.parametrize("form", ["{}", " {}\n", "Bearer {}", "Authorization: Bearer {}"])
def test_a_pasted_secret_leads_to_its_key(find, make_key, bob, form):
    issued = make_key(name="nightly")
    answer = find(bob, form.format(issued.secret))
    assert answer.status_code == 302
    assert answer.url == reverse("keys:lease", args=[issued.lease.pk])


def test_an_old_secret_in_its_grace_and_a_hash_and_an_id_lead_there_too(find, make_key, alice):
    first = make_key()
    leases.rotate(first.lease, by=alice)
    for words in (first.secret, hash_key(first.secret), str(first.lease.pk)):
        assert find(alice, words).url == reverse("keys:lease", args=[first.lease.pk])


@pytest.mark.parametrize("known", [True, False])
def test_a_secret_of_a_key_that_one_may_not_see_is_answered_as_one_that_nobody_has(
    find, make_key, vic, mallory, known, caplog, capfd
):
    secret = make_key().secret if known else new_secret()
    for user in (vic, mallory):
        answer = find(user, secret)
        assert answer.status_code == 200
        assert "Nothing found for the secret that was sent." in text(answer)
        assert secret not in answer.content.decode()
    assert secret not in caplog.text + "".join(capfd.readouterr())


TOKENS = [f"kd_{'a' * 40}", f"my key {new_secret()}", "hvs.CAESIJ", "Zx8Qw3rTy5uI9oPa1sDf7gHj"]


@pytest.mark.parametrize("words", TOKENS, ids=["token", "key among words", "vault token", "just random"])
def test_what_may_be_a_secret_never_becomes_an_address_or_a_page(find, alice, words):
    answer = find(alice, words)
    assert answer.status_code == 200
    assert words.split()[-1] not in answer.content.decode()


def test_a_secret_in_an_address_is_not_repeated_and_whoever_sent_it_is_warned(as_person, alice):
    secret = new_secret()
    answer = as_person(alice).get(reverse("keys:find"), {"q": secret})
    assert secret not in answer.content.decode()
    assert "Treat it as known to others" in text(answer)


def test_words_find_keys_people_teams_and_roles_by_name_alias_and_holder(find, as_person, make_key, ruth, robot):
    lease = make_key(name="search ranker").lease
    Team.objects.create(name="Research", slug="research")
    answer = find(ruth, "search")
    assert answer.url == f"{reverse('keys:find')}?q=search"
    said = text(as_person(ruth).get(answer.url))
    assert "search ranker" in said
    assert "Search Platform" in said
    assert "Research" in said
    for words in (lease.alias, "alice@example.com", lease.current.key_name):
        assert lease.alias in text(as_person(ruth).get(reverse("keys:find"), {"q": words}))
    machine = text(as_person(ruth).get(reverse("keys:find"), {"q": "nightly"}))
    assert "nightly service account of Search Platform" in machine


def test_a_search_finds_only_what_one_may_see(as_person, make_key, alice, mallory, vic, other_team):
    make_key(name="ranker")
    look = reverse("keys:find")
    assert "ranker" in text(as_person(alice).get(look, {"q": "ranke"}))
    for user in (vic, mallory):
        assert "Nothing found for ranke" in text(as_person(user).get(look, {"q": "ranke"}))
    assert "alice@example.com" not in text(as_person(mallory).get(look, {"q": "alic"}))
    assert "alice@example.com" in text(as_person(vic).get(look, {"q": "alic"}))
    assert "Mobile Assist" not in text(as_person(alice).get(look, {"q": "mobil"}))


def test_ten_of_a_kind_are_shown_and_the_list_has_the_rest(as_person, make_key, ruth):
    make_key(name="ranker 0")
    client, look = as_person(ruth), reverse("keys:find")
    client.get(look)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(look, {"q": "ranker"})
        return len(seen)

    few = queries()
    for number in range(1, 12):
        make_key(name=f"ranker {number}")
    assert queries() == few
    answer = client.get(look, {"q": "ranker"})
    assert answer.content.decode().count('data-label="Holder"') == 10
    assert f"{reverse('keys:list')}?q=ranker" in answer.content.decode()


@pytest.mark.parametrize(
    "words", ["task-runner", "risk-model 2", "sk-learn", "coding-c7ebb4c268", "Nightly Batch 2026"]
)
def test_a_name_is_no_secret(find, alice, words):
    assert find(alice, words).status_code == 302


def test_every_page_has_the_box_and_it_is_sent_by_post(as_person, alice):
    page = as_person(alice).get("/").content.decode()
    form = page[page.index('class="rail-find"') : page.index("</form>")]
    assert 'method="post"' in form
    assert "csrfmiddlewaretoken" in form
