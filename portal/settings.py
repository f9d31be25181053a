"""One settings file, read from the environment (and `.env`). README.md has the table of variables."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import sys
import tempfile
from datetime import timedelta
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from portal import providers, refuse
from portal.rest_settings import REST_FRAMEWORK, SPECTACULAR_SETTINGS  # noqa: F401

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = "pytest" in sys.modules
env = Env()
if not TESTING and (_file := os.environ.get("KEYDESK_ENV_FILE", str(BASE_DIR / ".env"))):
    env.read_env(_file, recurse=False)

DATA_DIR = Path(env.str("KEYDESK_DATA_DIR", "") or BASE_DIR / "var").absolute()
if TESTING:  # a folder of its own for each process: tests never meet what is kept here, nor each other
    DATA_DIR = Path(tempfile.mkdtemp(prefix="keydesk-test-"))
    atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
# Passkeys refuse an IP address, so links say `localhost` even when 127.0.0.1 is bound.
URL = (env.str("KEYDESK_URL", "") or f"http://localhost:{PORT}").rstrip("/")
_url = urlsplit(URL)
HTTPS = _url.scheme == "https"
if not _url.hostname or _url.scheme not in {"http", "https"}:
    raise ImproperlyConfigured("KEYDESK_URL must be a whole address, like https://keys.example.com")
SHARED = bool(env.str("DATABASE_URL", ""))  # a database that several hosts may share


def _kept(name: str, file: str, make: str) -> str:
    """A secret from the environment, or from a file of mode 600 that is made once on this machine."""
    if value := env.str(name, ""):
        return value
    if SHARED:
        raise ImproperlyConfigured(
            f"DATABASE_URL is set, so {name} must be set too: a key made on one host would make rows"
            " unreadable on another. `make secrets` prints one of each."
        )
    path = DATA_DIR / file
    if not path.exists():
        DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = DATA_DIR / f".{file}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(make)
        try:
            path.hardlink_to(draft)  # two first starts at once agree on one
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


SECRET_KEY = _kept("KEYDESK_SECRET_KEY", "secret.key", secrets.token_urlsafe(50))
ENCRYPTION_KEYS = [
    key.strip()
    for key in _kept("KEYDESK_ENCRYPTION_KEYS", "encryption.keys", Fernet.generate_key().decode())
    .replace("\n", ",")
    .split(",")
    if key.strip()
]

# The audit trail. Its key outlives the chain: it is set apart before the web's own key is changed.
AUDIT_KEY = env.str("KEYDESK_AUDIT_KEY", "") or SECRET_KEY
AUDIT_KEEP_DAYS = env.int("KEYDESK_AUDIT_KEEP_DAYS", 0)  # 0: for ever
AUDIT_STREAM = env.str("KEYDESK_AUDIT_STREAM", "")
AUDIT_WEBHOOK = env.str("KEYDESK_AUDIT_WEBHOOK", "")
AUDIT_WEBHOOK_SECRET = env.str("KEYDESK_AUDIT_WEBHOOK_SECRET", "")
refuse.audit(keep_days=AUDIT_KEEP_DAYS, stream=AUDIT_STREAM, webhook=AUDIT_WEBHOOK, webhook_secret=AUDIT_WEBHOOK_SECRET)

DEBUG = env.bool("KEYDESK_DEBUG", False)
DEFAULT_EXCEPTION_REPORTER_FILTER = "portal.debug.Reporter"
ALLOWED_HOSTS = [_url.hostname, *env.list("KEYDESK_HOSTS", [])]
if _url.hostname == "localhost":
    ALLOWED_HOSTS += ["127.0.0.1", "[::1]", HOST]
CSRF_TRUSTED_ORIGINS = [URL]
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", [])  # whose X-Forwarded-For counts
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600  # seconds
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "keydesk_session", "keydesk_csrf"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # health checks ask the container itself, by plain HTTP
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"

INSTALLED_APPS = [
    "portal.apps.PortalConfig",
    "teams.apps.TeamsConfig",
    "keys.apps.KeysConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "portal.apps.DeskAdminConfig",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_cotton",
    "django_htmx",
    "django_structlog",
    "csp",
    "lucide",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.languages.LanguageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "portal.middleware.OriginMiddleware",
    "portal.refusals.RefusalMiddleware",
    "portal.middleware.ProblemMiddleware",
    "teams.middleware.PersonMiddleware",
    "teams.sso.middleware.SignInMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.ui.desk",
            ],
            "builtins": ["django.templatetags.i18n", "django_cotton.templatetags.cotton", "portal.templatetags.ui"],
        },
    }
]
COTTON_DIR = "cotton"
COTTON_SNAKE_CASED_NAMES = False

_sqlite = f"sqlite:///{DATA_DIR}/keydesk.sqlite3"
DATABASES = {"default": env.dj_db_url("DATABASE_URL", _sqlite, conn_max_age=0)}
_db = DATABASES["default"]
if _db["ENGINE"].endswith("sqlite3"):
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    _db["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",  # take the write lock first: no deadlock between two readers
        "timeout": 20,  # seconds
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # Tests use threads, so their database is a file too; pytest-xdist adds a suffix of its own.
    _db["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    _db["CONN_HEALTH_CHECKS"] = True  # after a restart of PostgreSQL, nobody gets a dead connection
    if not TESTING:  # pytest-django drops its databases, and a pool would hold them open
        # 5 s for a connection: a person waits, and a health check must answer.
        _pool = {"min_size": 1, "max_size": env.int("KEYDESK_DB_POOL", 20), "timeout": 5}
        _db["OPTIONS"] = {**_db.get("OPTIONS", {}), "pool": _pool}

# Rate limits count in the cache, so all web processes share one: Redis, or the database that they share anyway.
CACHES = {
    "default": env.dj_cache_url("CACHE_URL", "db://portal_cache" if SHARED and not TESTING else "locmem://"),
    "near": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "near"},  # of this process
}
if not CACHES["default"]["BACKEND"].endswith("RedisCache"):
    CACHES["default"]["OPTIONS"] = {"MAX_ENTRIES": 20_000}  # of Django's 300, a flood would push the limits out
if TESTING and (_redis := str(CACHES["default"].get("LOCATION", "")).rpartition("/"))[2].isdigit():
    # Each test worker has a Redis database of its own: `clear` empties all of it.
    _worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    CACHES["default"]["LOCATION"] = f"{_redis[0]}/{int(_redis[2]) + int(_worker)}"

AUTH_USER_MODEL = "teams.User"
AUTHENTICATION_BACKENDS = ["teams.sso.passwords.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "teams.sso.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # accounts are made by an administrator, with the address they name
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Keydesk: "
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "10/m/ip,5/5m/key",  # by password or by code; the key is the account
    "reset_password": "10/m/ip,5/h/key",
    "reauthenticate": "10/m/user",
}

# Single sign-on. Providers come from the environment alone: no row of any table makes one.
SSO_PROVIDERS = {} if TESTING else providers.read(os.environ)
SSO_ONLY = not TESTING and env.bool("KEYDESK_SSO_ONLY", False)
BREAK_GLASS = env.str("KEYDESK_BREAK_GLASS", "").strip().lower()  # who may still use a password with SSO_ONLY
providers.check_only(SSO_ONLY, BREAK_GLASS, SSO_PROVIDERS.values())
SOCIALACCOUNT_ADAPTER = "teams.sso.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {"provider_class": "teams.sso.provider.OpenIDConnect"},
    "github": {"provider_class": "teams.sso.provider.GitHub"},
}
SOCIALACCOUNT_STORE_TOKENS = SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # teams/sso/identities.py says when an address links

# Second factors, and when an act wants to see one (or the password) again.
MFA_ADAPTER = "teams.mfa.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Keydesk"
MFA_TOTP_TOLERANCE = 1  # steps of 30 s, for clocks that differ
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are what an administrator or a provider has said
MFA_FORMS = {
    "authenticate": "teams.forms.account.SecondStep",
    "reauthenticate": "teams.forms.account.CodeAgain",
    "activate_totp": "teams.forms.account.ActivateTOTP",
    "add_webauthn": "teams.forms.account.AddPasskey",
}
MFA_REQUIRED: list[str] = env.list("KEYDESK_MFA_REQUIRED", [])
refuse.second_factors(MFA_REQUIRED)
USERSESSIONS_ADAPTER = "teams.sessions.SessionsAdapter"
REAUTH_AFTER = timedelta(minutes=env.float("KEYDESK_REAUTH_MINUTES", 15.0))

EMAIL_CONFIG = env.dj_email_url("EMAIL_URL") if env.str("EMAIL_URL", "") else env.dj_email_url("", "console:")
if "EMAIL_BACKEND" not in EMAIL_CONFIG:  # django would quietly speak plain SMTP to nobody
    raise ImproperlyConfigured(
        "EMAIL_URL must begin with submission:// (SMTP with TLS), smtp:// or console:, as in"
        " submission://user:password@mail.example.com:587"
    )
globals().update({name: value for name, value in EMAIL_CONFIG.items() if name.startswith("EMAIL_")})
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("KEYDESK_MAIL_FROM", "") or f"Keydesk <keydesk@{_url.hostname}>"

LANGUAGE_CODE, LANGUAGES = "en", [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS, FORMAT_MODULE_PATH = [BASE_DIR / "locale"], "portal.formats"
TIME_ZONE = "UTC"
USE_I18N = USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("KEYDESK_STATIC_ROOT", "") or DATA_DIR / "static").absolute()
# The Inter font and Chart.js come from the wheel of django-unfold; that app is not installed.
_unfold = distribution("django-unfold").locate_file("unfold/static/unfold")
STATICFILES_DIRS = [("inter", f"{_unfold}/fonts/inter"), ("chart", f"{_unfold}/js/chart")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG or TESTING
WHITENOISE_AUTOREFRESH = DEBUG or TESTING  # else each test client lists all files first

# Nothing from elsewhere, nothing inline: no page needs it, so no injected one gets it.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# Tasks. Unset: a worker and a beat live as threads inside the web process (portal/embedded.py).
BROKER_URL = env.str("KEYDESK_BROKER_URL", "")
EMBEDDED_WORKER = not BROKER_URL and env.bool("KEYDESK_EMBEDDED_WORKER", True)
SWEEP_EVERY = env.float("KEYDESK_SWEEP_EVERY", 20.0)  # seconds
CELERY_BROKER_URL = BROKER_URL or "memory://localhost"
if not BROKER_URL:  # seconds between two looks; with its own 1.0 two threads would begin two sweeps a second at most
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.1}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = 600  # seconds
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # in memory: the sweeps remember their last runs themselves
CELERY_BEAT_ENABLE_REMOTE_CONTROL = bool(BROKER_URL)  # so that a health check can ping it
SWEEPS: dict[str, float] = {  # task -> seconds between two runs; portal/sweeps.py keeps how each run went
    "keys.tasks.settle_intents": SWEEP_EVERY,
    "keys.tasks.expire_leases": SWEEP_EVERY,
    "keys.tasks.end_leases": SWEEP_EVERY,
    "keys.tasks.reconcile_gateways": SWEEP_EVERY,  # whole walks once a day; asked so often for what cannot wait
    "keys.tasks.sync_spend": env.float("KEYDESK_SPEND_EVERY", 300.0),
    "keys.tasks.refresh_catalogs": 1800.0,  # they are fresh for an hour
    "keys.tasks.look_after_requests": SWEEP_EVERY,
    "keys.tasks.remind": 3600.0,
    "keys.tasks.look_for_advice": 86_400.0,
    "keys.tasks.close_statements": 3600.0,
    "keys.tasks.prune_old": 86_400.0,
    "portal.tasks.send_letters": SWEEP_EVERY,  # and the daily ones, once they are due
    "teams.tasks.deliver_webhooks": SWEEP_EVERY,
    "portal.tasks.seal_audit": SWEEP_EVERY,
    "portal.tasks.stream_audit": SWEEP_EVERY,
    "portal.tasks.cut_audit": 86_400.0,
}
# By beat's own clock nothing daily is due on a host restarted each night: so it is offered this often (seconds).
SWEEPS_OFFERED_EVERY = 300.0
CELERY_BEAT_SCHEDULE = {
    # A late message is worth nothing: the next one does the same work.
    task: {"task": task, "schedule": offered, "options": {"expires": offered}}
    for task, offered in ((task, min(every, SWEEPS_OFFERED_EVERY)) for task, every in SWEEPS.items())
}

ALLOW_SELF_APPROVAL = env.bool("KEYDESK_ALLOW_SELF_APPROVAL", False)  # off: nobody decides their own, admins included
REQUESTS_WAIT = timedelta(days=env.float("KEYDESK_REQUEST_DAYS", 14.0))  # for a decision, then they lapse
CLAIM_WITHIN = timedelta(days=env.float("KEYDESK_CLAIM_DAYS", 5.0))  # of the approval, then it lapses
ESCALATE_AFTER = timedelta(hours=env.float("KEYDESK_ESCALATE_HOURS", 24.0))  # to the platform; a reminder at half
LEAVER_GRACE = timedelta(hours=env.float("KEYDESK_LEAVER_GRACE", 24.0))  # a leaver's keys are blocked, then revoked

# What a SCIM client shows, as a bearer token; unset: that door is not there.
SCIM_TOKEN = "" if TESTING else env.str("KEYDESK_SCIM_TOKEN", "").strip()
refuse.scim(SCIM_TOKEN)
DIGEST_HOUR = env.int("KEYDESK_DIGEST_HOUR", 7)  # UTC: when daily letters are written
refuse.digest_hour(DIGEST_HOUR)
WEBHOOK_HOSTS: list[str] = env.list("KEYDESK_WEBHOOK_HOSTS", [])  # as GATEWAY_HOSTS
INVITATIONS_AN_HOUR = env.int("KEYDESK_INVITATIONS_AN_HOUR", 50)  # letters that one person may send
STATEMENT_AFTER = timedelta(days=env.int("KEYDESK_STATEMENT_DAYS", 3))  # for late rows, after a month's end
SECOND_ADMIN = env.bool("KEYDESK_SECOND_ADMIN", False)  # gateways, and roles without limits, need two
ISSUES_AN_HOUR = env.int("KEYDESK_ISSUES_AN_HOUR", 100)  # keys issued to one holder, or by one; 0: no limit
GATEWAY_HOSTS: list[str] = env.list("KEYDESK_GATEWAY_HOSTS", [])  # host or host:port, * fits anything; empty: any
WRONG_TOKENS = env.int("KEYDESK_WRONG_TOKENS", 30)  # from one address within a minute; the next are answered 429
API_PER_MINUTE = env.int("KEYDESK_API_PER_MINUTE", 1200)  # REST calls of one token, or of one session; 0: no limit
WEB_THREADS = env.int("KEYDESK_THREADS", 16)

# The default gateway. Without a base URL it is the sandbox.
# Tests never see a person's own: theirs are LIVE_LITELLM_BASE_URL and LIVE_LITELLM_MASTER_KEY.
LITELLM_BASE_URL = "" if TESTING else env.str("LITELLM_BASE_URL", "")
LITELLM_MASTER_KEY = "" if TESTING else env.str("LITELLM_MASTER_KEY", "")
LITELLM_PUBLIC_URL = "" if TESTING else env.str("LITELLM_PUBLIC_URL", "")
SANDBOX_FILE = DATA_DIR / "sandbox.sqlite3"

ADMIN_EMAIL, ADMIN_PASSWORD = env.str("KEYDESK_ADMIN_EMAIL", ""), env.str("KEYDESK_ADMIN_PASSWORD", "")
LOG_LEVEL = env.log_level("KEYDESK_LOG_LEVEL", logging.INFO)
LOG_JSON = env.bool("KEYDESK_LOG_JSON", SHARED)
from portal.log import configure  # noqa: E402  (needs nothing of Django)

LOGGING = configure(level=LOG_LEVEL, as_json=LOG_JSON)

SILENCED_SYSTEM_CHECKS = [] if HTTPS else ["security.W004", "security.W008", "security.W012", "security.W016"]
