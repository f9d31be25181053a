"""`keydesk chat`: a question to a model, straight to the proxy, with the leased key of `keydesk token`."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import closing
from typing import Annotated, Any

import typer

from keydesk.cache import Place
from keydesk.calls import KeyRefused, completion, pieces
from keydesk.errors import CliError, Usage
from keydesk.quick import place
from keydesk.settings import wants_json
from keydesk.show import UNSAFE, data, note
from keydesk.token import Gateway, Role, Team, Ttl, held_key

Message = dict[str, str]
LEAVE = frozenset({"/quit", "/exit"})


def chat(
    model: Annotated[str, typer.Argument(help="Which model.")],
    prompt: Annotated[str, typer.Argument(help="The question; without one, a conversation, or what stdin has.")] = "",
    system: Annotated[str, typer.Option(help="What the model is told first.")] = "",
    temperature: Annotated[float | None, typer.Option(help="Of the model.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The most that it answers.")] = None,
    team: Team = "",
    role: Role = "",
    gateway: Gateway = "",
    ttl: Ttl = "",
) -> None:
    """Ask a model; the answer appears as it comes. Without a question: a conversation, until Ctrl-D or /quit."""
    asked = {"temperature": temperature, "max_tokens": max_tokens}
    more = {name: value for name, value in asked.items() if value is not None}
    talk = Talk(place(team=team, role=role, gateway=gateway, ttl=ttl), model, system, more)
    if not prompt and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise Usage("There is no question.", f"Say one: keydesk chat {model} 'How are you?'")
    if not prompt:
        if wants_json():
            raise Usage("A conversation is not JSON.", "Say a question.")
        talk.go_on()
    elif wants_json():
        data(talk.whole(prompt))
    else:
        talk.say(prompt)


class Talk:
    """A conversation: what was said so far goes along with each question."""

    def __init__(self, where: Place, model: str, system: str, more: dict[str, Any]) -> None:
        self.where, self.model, self.more = where, model, more
        self.said: list[Message] = [{"role": "system", "content": system}] if system else []
        self.held = held_key(where)

    def whole(self, prompt: str) -> dict[str, Any]:
        """The answer as the proxy gives it."""
        body = self._body(prompt)
        try:
            return completion(self.held.base_url, self.held.key, body)
        except KeyRefused:
            return completion(*self._another(), body)

    def say(self, prompt: str) -> None:
        """Print the answer as it comes, and remember both. What broke off is not remembered. Raises CliError."""
        answer = ""
        try:
            with closing(self._pieces(prompt)) as coming:
                for piece in coming:
                    answer += piece
                    sys.stdout.write(UNSAFE.sub("\N{REPLACEMENT CHARACTER}", piece))
                    sys.stdout.flush()
        finally:
            if answer:
                sys.stdout.write("\n")
        self.said += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]

    def go_on(self) -> None:
        """Until Ctrl-D or /quit. Ctrl-C stops an answer, not the conversation; a trouble is told, and it goes on."""
        _remember_lines()
        note(f"{self.model} at {self.held.base_url}. /clear forgets what was said; Ctrl-D or /quit leaves.")
        while True:
            try:
                prompt = input("> ").strip()
            except EOFError:
                return _next_line()
            except KeyboardInterrupt:
                _next_line()
                continue
            if prompt in LEAVE:
                return None
            if prompt == "/clear":
                self.said = self.said[:1] if self.said[:1] and self.said[0]["role"] == "system" else []
            elif prompt:
                self._try(prompt)

    def _try(self, prompt: str) -> None:
        try:
            self.held = held_key(self.where)  # a conversation may be longer than a key's life
            self.say(prompt)
        except KeyboardInterrupt:
            _next_line()
        except CliError as error:
            note(f"keydesk: {error.message}\n{error.action}")

    def _pieces(self, prompt: str) -> Generator[str, None, None]:
        body = self._body(prompt)
        try:
            yield from pieces(self.held.base_url, self.held.key, body)
        except KeyRefused:
            yield from pieces(*self._another(), body)

    def _another(self) -> tuple[str, str]:
        """Where and with what to ask again, after the key was refused: it may have been revoked meanwhile."""
        self.held = held_key(self.where, check=True)
        return self.held.base_url, self.held.key

    def _body(self, prompt: str) -> dict[str, Any]:
        return {"model": self.model, "messages": [*self.said, {"role": "user", "content": prompt}], **self.more}


def _next_line() -> None:
    sys.stderr.write("\n")


def _remember_lines() -> None:
    """Arrow keys bring back earlier questions, of this conversation alone."""
    try:
        import readline
    except ImportError:
        return
    readline.clear_history()
