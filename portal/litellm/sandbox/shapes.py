"""The rows and answers of the proxy, field by field (LiteLLM 1.106.2, recorded)."""

from __future__ import annotations

from typing import Any

from .store import Row, names
from .windows import zulu

LISTS = {
    "admins",
    "members",
    "members_with_roles",
    "team_member_permissions",
    "models",
    "access_group_ids",
    "teams",
}
LISTS |= {
    "default_team_member_models",
    "policies",
    "allowed_cache_controls",
    "allowed_routes",
    "allowed_models",
}
DICTS = {"aliases", "config", "router_settings", "permissions", "metadata", "model_spend", "model_max_budget"}
DICTS |= {"budget_fallbacks"}
FLAGS = {"soft_budget_cooldown", "auto_rotate", "allow_team_guardrail_config"}
SUMS = {"spend", "total_spend"}


def blank(fields: str, **known: Any) -> Row:
    """A row with the value that each field has when nobody sets it."""

    def default(name: str) -> Any:
        kinds: tuple[tuple[set[str], Any], ...] = ((LISTS, []), (DICTS, {}), (FLAGS, False), (SUMS, 0.0))
        return next((value for kind, value in kinds if name in kind), None)

    return {name: known.get(name, default(name)) for name in names(fields)}


KEY_ROW: Row = blank(
    "token key_name key_alias soft_budget_cooldown spend total_spend expires models aliases config "
    "router_settings user_id team_id agent_id project_id permissions max_parallel_requests metadata blocked "
    "tpm_limit rpm_limit tpd_limit max_budget budget_duration budget_reset_at allowed_cache_controls "
    "allowed_routes key_type policies access_group_ids model_spend model_max_budget budget_fallbacks "
    "budget_id organization_id object_permission_id created_at created_by updated_at updated_by "
    "settings_updated_at last_active rotation_count auto_rotate rotation_interval last_rotation_at "
    "key_rotation_at budget_limits litellm_budget_table litellm_organization_table litellm_project_table "
    "object_permission jwt_key_mappings",
    key_type="default",
    rotation_count=0,
)

# The fields that an archived or blocked key is shown with.
NARROW_KEY = names(
    "token key_name key_alias spend total_spend max_budget expires models aliases config user_id team_id "
    "agent_id project_id max_parallel_requests metadata tpm_limit rpm_limit tpd_limit budget_duration "
    "budget_reset_at allowed_cache_controls allowed_routes key_type permissions model_spend model_max_budget "
    "budget_fallbacks soft_budget_cooldown blocked litellm_budget_table budget_id org_id created_at "
    "created_by updated_at updated_by settings_updated_at last_active object_permission_id object_permission "
    "access_group_ids rotation_count auto_rotate rotation_interval last_rotation_at key_rotation_at "
    "router_settings budget_limits"
)

# What a listed key has besides, all null but these two.
LISTED_KEY = names(
    "team_spend team_alias team_tpm_limit team_rpm_limit team_tpd_limit team_max_budget team_soft_budget "
    "team_model_max_budget team_models team_blocked soft_budget team_model_aliases team_member team_metadata "
    "team_object_permission_id team_member_spend team_member_tpm_limit team_member_rpm_limit end_user_id "
    "end_user_tpm_limit end_user_rpm_limit end_user_tpd_limit end_user_max_budget end_user_model_max_budget "
    "organization_alias organization_max_budget organization_tpm_limit organization_rpm_limit "
    "organization_metadata project_alias project_metadata last_refreshed_at api_key user_role "
    "allowed_model_region parent_otel_span rpm_limit_per_model tpm_limit_per_model user_tpm_limit "
    "user_rpm_limit user_email user_spend user_max_budget user_model_max_budget request_route "
    "is_session_token user created_by_user end_user_object_permission team_object_permission jwt_claims"
)

GENERATED_KEY = names(
    "key_alias duration models spend max_budget user_id team_id agent_id max_parallel_requests metadata "
    "tpm_limit rpm_limit budget_duration budget_limits allowed_cache_controls config permissions "
    "model_max_budget budget_fallbacks model_rpm_limit model_tpm_limit mcp_rpm_limit tag_rpm_limit "
    "guardrails policies prompts blocked aliases object_permission key tpd_limit "
    "default_estimated_output_tokens default_estimated_output_tokens_per_model budget_id end_user_budget_id "
    "tags disable_global_guardrails enable_prompt_caching throttle_on_budget_exceeded enforced_params "
    "allowed_routes allowed_passthrough_routes denied_passthrough_routes allowed_vector_store_indexes "
    "rpm_limit_type tpm_limit_type router_settings access_group_ids key_name key_type expires token_id "
    "organization_id project_id litellm_budget_table token created_by updated_by created_at updated_at"
)
# Written by generate into other places, and echoed as null.
NEVER_ECHOED = {"policies", "tags", "guardrails", "prompts", "object_permission"}

TEAM_ROW: Row = blank(
    "team_alias team_id organization_id admins members members_with_roles team_member_permissions metadata "
    "tpm_limit rpm_limit tpd_limit max_budget soft_budget budget_duration budget_limits models blocked "
    "router_settings access_group_ids default_team_member_models spend max_parallel_requests "
    "budget_reset_at model_id model_spend model_max_budget policies allow_team_guardrail_config "
    "litellm_model_table object_permission object_permission_id updated_at created_at",
    blocked=False,
)
UPDATED_TEAM = {"litellm_organization_table": None, "projects": None}

USER_ROW: Row = blank(
    "user_id user_alias team_id sso_user_id organization_id object_permission_id password_reset_required "
    "last_breach_check_at teams user_role max_budget spend user_email models metadata max_parallel_requests "
    "tpm_limit rpm_limit budget_duration budget_reset_at allowed_cache_controls policies model_spend "
    "model_max_budget created_at updated_at"
)
USER_RELATIONS: Row = dict.fromkeys(
    names(
        "litellm_organization_table organization_memberships invitations_created invitations_updated "
        "invitations_user object_permission"
    )
)


def generated_key(row: Row, key: str, expires: str | None) -> Row:
    """The only answer that holds the secret. `expires` has microseconds here, and milliseconds ever after."""
    answer = {name: row.get(name) for name in GENERATED_KEY if name not in NEVER_ECHOED}
    answer = {name: answer.get(name) for name in GENERATED_KEY}
    return zulu(answer | {"key": key, "token_id": row["token"], "expires": expires})


def narrow_key(row: Row) -> Row:
    return zulu({name: row.get(name) for name in NARROW_KEY})


def listed_key(row: Row) -> Row:
    return narrow_key(row) | dict.fromkeys(LISTED_KEY) | {
        "team_models": [], "team_blocked": False, "is_session_token": False,
    }  # fmt: skip


def archived_key(row: Row) -> Row:
    """A deleted key; times as stored."""
    extra = ("id", "organization_id", "deleted_at", "deleted_by", "deleted_by_api_key", "litellm_changed_by")
    return {name: row.get(name) for name in (*NARROW_KEY, *extra)}


def membership(row: Row) -> Row:
    return {
        "user_id": row["user_id"],
        "team_id": row["team_id"],
        "budget_id": row["budget_id"],
        "spend": row["spend"],
        "total_spend": row["total_spend"],
        "litellm_budget_table": row["litellm_budget_table"] and zulu(row["litellm_budget_table"]),
    }


def budget(id_: str, now: str, **limits: object) -> Row:
    """A private budget row, such as a soft budget or a member's budget makes; times as stored."""
    row = blank(
        "budget_id soft_budget max_budget max_parallel_requests tpm_limit rpm_limit tpd_limit "
        "model_max_budget "
        "budget_duration allowed_models temp_budget_increase temp_budget_expiry budget_reset_at created_at",
        budget_id=id_,
        created_at=now,
        model_max_budget=None,
    )
    return row | limits


def shared_budget(key: Row, soft_budget: float) -> Row:
    """The private budget row that a soft budget makes, with all that it could be linked to."""
    links = "organization keys projects tags end_users team_membership organization_membership model_access_groups"
    made = {"created_by": key["created_by"], "updated_by": key["updated_by"], "updated_at": key["updated_at"]}
    row = budget(key["budget_id"], key["created_at"], soft_budget=soft_budget, model_max_budget={})
    return zulu(row | made) | dict.fromkeys(links.split())
