# One image for web, worker and beat. No secret is built in; everything comes from the environment.
FROM python:3.11-slim-bookworm AS build
ENV DJANGO_SETTINGS_MODULE=portal.settings
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/keydesk
ENV PATH=/opt/keydesk/bin:$PATH
COPY requirements/runtime.txt /tmp/runtime.txt
RUN pip install --require-hashes --no-deps --requirement /tmp/runtime.txt
WORKDIR /app
COPY manage.py ./
COPY portal portal
COPY teams teams
COPY keys keys
COPY templates templates
COPY locale locale
# Static files are the same everywhere, so they are made here. The keys made for this one command stay in this stage.
RUN KEYDESK_STATIC_ROOT=/app/static KEYDESK_DATA_DIR=/tmp/build python -c "\
import django; django.setup(); \
from portal.management.first_start import collect_static; collect_static()"

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 keydesk && install -d -o keydesk -m 700 /data
ENV PATH=/opt/keydesk/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=portal.settings \
    KEYDESK_ENV_FILE= \
    KEYDESK_DATA_DIR=/data \
    KEYDESK_STATIC_ROOT=/app/static \
    HOST=0.0.0.0 \
    PORT=8000
COPY --from=build /opt/keydesk /opt/keydesk
COPY --from=build /app /app
WORKDIR /app
USER keydesk
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s --retries=3 CMD ["python", "-m", "portal.health"]
CMD ["python", "manage.py", "start"]
