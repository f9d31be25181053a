from decimal import Decimal

from tests.litellm.servers import BASE, sent

USER = {
    "user_id": "u",
    "user_email": "u@example.com",
    "user_role": "internal_user",
    "teams": ["t"],
    "spend": 0.1,
}


def test_a_user_is_made_without_a_key_unless_asked(client, proxy):
    proxy.post(f"{BASE}/user/new", json={**USER, "key": "", "teams": None})
    assert client.users.create(user_id="u", email="u@example.com", max_budget=3).key is None
    assert sent(proxy) == {
        "user_id": "u",
        "user_email": "u@example.com",
        "max_budget": 3,
        "auto_create_key": False,
    }


def test_a_key_made_along_with_a_user_is_not_shown(client, proxy):
    proxy.post(f"{BASE}/user/new", json={**USER, "key": "sk-example-minted"})
    made = client.users.create(user_id="u", auto_create_key=True)
    assert made.key == "sk-example-minted"
    assert "minted" not in repr(made)


def test_a_user_is_read_alone_or_with_keys_and_teams(client, proxy):
    proxy.get(f"{BASE}/v2/user/info", json=USER)
    proxy.get(
        f"{BASE}/user/info",
        json={"user_id": "u", "user_info": USER, "keys": [{"token": "a"}], "teams": [{"team_id": "t"}]},
    )
    assert client.users.get_v2("u").spend == Decimal("0.1")
    info = client.users.get("u")
    assert (info.user.email, info.keys[0].token, info.teams[0].team_id) == ("u@example.com", "a", "t")


def test_users_are_walked_page_by_page(client, proxy):
    for number in (1, 2):
        proxy.get(
            f"{BASE}/user/list",
            json={"users": [{**USER, "user_id": f"u{number}"}], "page": number, "total_pages": 2},
        )
    assert [user.user_id for user in client.users.list(user_ids=["u1", "u2"])] == ["u1", "u2"]
    assert "user_ids=u1%2Cu2" in proxy.calls[0].request.url


def test_an_update_reads_the_row_inside_and_a_delete_counts(client, proxy):
    proxy.post(f"{BASE}/user/update", json={"user_id": "u", "data": USER})
    proxy.post(f"{BASE}/user/delete", json=2)
    assert client.users.update("u", max_budget=None).email == "u@example.com"
    assert sent(proxy) == {"user_id": "u", "max_budget": None}
    assert client.users.delete(["u", "v"]) == 2
    assert sent(proxy) == {"user_ids": ["u", "v"]}
