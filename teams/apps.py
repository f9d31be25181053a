from django.apps import AppConfig


class TeamsConfig(AppConfig):
    name = "teams"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from portal import audit, notices
        from teams import account_events  # noqa: F401  (its receivers)
        from teams.services import deliveries
        from teams.services.notices import chosen_by

        notices.asked.connect(chosen_by, dispatch_uid="teams.notices.chosen_by")
        audit.recorded.connect(deliveries.write, dispatch_uid="teams.deliveries.write")
