from django.apps import AppConfig


class KeysConfig(AppConfig):
    name = "keys"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Virtual keys"

    def ready(self) -> None:
        from keys.services import leases, teams
        from teams.signals import access_ended, budget_changed

        access_ended.connect(leases.end_for, dispatch_uid="keys.leases.end_for")
        budget_changed.connect(teams.show_budget, dispatch_uid="keys.teams.show_budget")
