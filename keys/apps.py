from django.apps import AppConfig


class KeysConfig(AppConfig):
    name = "keys"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Virtual keys"

    def ready(self) -> None:
        from keys.services import budgets, leases, requests
        from teams.signals import access_ended, access_restored, budget_changed, team_ended

        access_ended.connect(leases.end_for, dispatch_uid="keys.leases.end_for")
        access_restored.connect(leases.resume_for, dispatch_uid="keys.leases.resume_for")
        team_ended.connect(leases.end_team, dispatch_uid="keys.leases.end_team")
        access_ended.connect(requests.end_for, dispatch_uid="keys.requests.end_for")
        team_ended.connect(requests.end_team, dispatch_uid="keys.requests.end_team")
        budget_changed.connect(budgets.carry, dispatch_uid="keys.budgets.carry")
