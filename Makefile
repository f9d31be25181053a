# Keydesk. `make run` and `make test` need Python 3.11 to 3.13, make and git; they do the rest themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check install --require-hashes --no-deps --requirement

# What tests and checks must not see: your own .env, gateway, database and addresses.
OWN := LITELLM_BASE_URL LITELLM_MASTER_KEY LITELLM_PUBLIC_URL DATABASE_URL CACHE_URL EMAIL_URL HOST PORT TRUSTED_PROXIES \
  $(filter KEYDESK_%,$(filter-out KEYDESK_CHROMIUM KEYDESK_NO_SKIPS,$(.VARIABLES)))
APART := env $(OWN:%=-u %) KEYDESK_ENV_FILE= KEYDESK_DATA_DIR=$(CURDIR)/var/test

# Where no words of pages or letters are.
NO_WORDS := $(VENV) var tests benchmarks deploy docs portal/litellm "*/management/*"

.PHONY: help run test fuzz check fix demo lock messages screenshots bench secrets runtime dev

help:
	@echo "make run      start Keydesk on this machine (HOST, PORT and the rest of README.md's table from .env)"
	@echo "make demo     fill the sandbox with a believable company: 60 people, 400 keys, 90 days of spend"
	@echo "make test     run the tests that need nothing but Python (ARGS='-k revoke' for some of them)"
	@echo "make fuzz     ask the API over 20,000 times whatever its schema allows, and what it forbids"
	@echo "make check    linters, types, import rules, migrations, deployment settings"
	@echo "make fix      mend what the linters can mend"
	@echo "make lock     lock requirements/*.in again, with hashes"
	@echo "make messages collect the words of pages and letters for translators (needs gettext)"
	@echo "make bench    measure"
	@echo "make screenshots  take the pictures of docs/screenshots anew (KEYDESK_CHROMIUM: path of a Chromium)"
	@echo "make secrets  print a new KEYDESK_SECRET_KEY and KEYDESK_ENCRYPTION_KEYS"

run: runtime
	@exec $(BIN)/python manage.py start

demo: runtime
	@$(BIN)/python manage.py start --prepare
	@$(BIN)/python manage.py demo

test: dev
	@$(APART) $(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --quiet --check templates
	$(BIN)/djlint --quiet --lint templates
	$(BIN)/lint-imports
	$(APART) $(BIN)/mypy manage.py portal teams keys keydesk tests benchmarks
	$(APART) $(BIN)/python manage.py makemigrations --check --dry-run
	$(APART) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(APART) $(BIN)/python manage.py errorcodes
	@echo "manage.py check --deploy, as in production"
	@$(APART) KEYDESK_URL=https://keys.example.com DATABASE_URL=postgres://keydesk@127.0.0.1/keydesk \
	  $$($(BIN)/python -m portal.newsecrets) $(BIN)/python manage.py check --deploy --fail-level WARNING

fix: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	-$(BIN)/djlint --quiet --reformat templates

lock: dev
	@for set in runtime dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --output-file requirements/$$set.txt $(UPGRADE) requirements/$$set.in || exit 1; done

# The words of pages and letters: locale/<language>/LC_MESSAGES/django.po for who translates, .mo for who runs it.
messages: dev
	$(BIN)/python manage.py makemessages --all --no-wrap --add-location=file $(NO_WORDS:%=--ignore %)
	$(BIN)/python manage.py compilemessages --ignore $(VENV)

# As tests/api/test_schema_fuzz.py does in `make test`, and ten times as much, each person in a process of its own;
# FUZZ_SEED chooses what is asked, FUZZ_REQUESTS how much of each.
fuzz: dev
	@$(APART) FUZZ_REQUESTS=$${FUZZ_REQUESTS:-6700} $(BIN)/python -m pytest -n 3 -rP tests/api/test_schema_fuzz.py $(ARGS)

bench: dev
	@$(APART) $(BIN)/python benchmarks/run.py

screenshots: dev
	@$(APART) $(BIN)/python -m tests.pictures.take

secrets: runtime
	@$(BIN)/python -m portal.newsecrets

# The environment. A copy of the lock beside it says what was installed, so an unchanged lock costs one `cmp`.
runtime: $(BIN)/python
	@cmp -s requirements/runtime.txt $(VENV)/runtime.txt || { echo "Installing what Keydesk needs ..."; \
	  $(PIP) requirements/runtime.txt && cp requirements/runtime.txt $(VENV)/runtime.txt; }

dev: $(BIN)/python
	@cmp -s requirements/dev.txt $(VENV)/dev.txt || { echo "Installing what the tests and checks need ..."; \
	  $(PIP) requirements/dev.txt && cp requirements/dev.txt requirements/runtime.txt $(VENV)/; }

$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11; do \
	  $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || continue; \
	  $$python -m venv $(VENV) && exit 0; rm -rf $(VENV); \
	  echo "$$python cannot make a virtual environment (on Debian: apt install python3-venv)." >&2; exit 1; \
	done; echo "Keydesk needs Python 3.11, 3.12 or 3.13. Say which: make PYTHON=/path/to/python3.12" >&2; exit 1
