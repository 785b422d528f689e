"""Tokens as they are kept and shown, who is let in, and which pages may call."""

import json
import subprocess
import sys
import threading

import pytest
from running import ROOT, environment, free_port, make_bundle, serve_command

from egoreact.errors import EgoReactError
from serving.access import Access, require_tokens
from serving.protocol import Refused
from serving.token_commands import COMMANDS
from serving.tokens import create_token, read_tokens, revoke_token


@pytest.fixture
def path(tmp_path, monkeypatch):
    path = tmp_path / "tokens.jsonl"
    monkeypatch.setenv("EGOREACT_HOME", str(tmp_path))
    monkeypatch.delenv("EGOREACT_TOKENS", raising=False)
    monkeypatch.delenv("EGOREACT_ALLOWED_ORIGINS", raising=False)
    return path


def make(path, name="anna", *, rate_per_minute=60, sessions=2) -> str:
    return create_token(path, name, rate_per_minute=rate_per_minute, sessions=sessions)


def refused(call, *arguments) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    assert "\n" not in caught.value.line
    return caught.value


class TestTheFile:
    def test_it_holds_no_secret_and_is_its_owner_s_alone(self, path):
        secret = make(path)
        assert len(secret) > 40
        assert secret not in path.read_text() and secret.removeprefix("egoreact_") not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        (line,) = path.read_text().splitlines()
        assert json.loads(line)["name"] == "anna"

    def test_nothing_is_left_beside_it(self, path):
        make(path)
        with pytest.raises(EgoReactError, match="exists"):
            make(path)
        revoke_token(path, "anna")
        make(path)
        assert [p.name for p in path.parent.iterdir()] == ["tokens.jsonl"]
        assert [token.revoked_at is None for token in read_tokens(path)] == [False, True]

    def test_two_at_a_time_lose_nothing(self, path):
        makers = [threading.Thread(target=make, args=(path, f"name{i}")) for i in range(12)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        assert len(read_tokens(path)) == 12

    @pytest.mark.parametrize("name", ["", " ", "a b", "../x", "x" * 65, "-x", "ä"])
    def test_a_name_that_is_none_is_refused(self, path, name):
        with pytest.raises(EgoReactError, match="is no name"):
            make(path, name)
        assert not path.exists()

    @pytest.mark.parametrize("counts", [{"rate_per_minute": 0}, {"sessions": -1}])
    def test_a_count_below_one_is_refused(self, path, counts):
        with pytest.raises(EgoReactError, match="is too few"):
            make(path, **counts)

    @pytest.mark.parametrize("line", ["{}", "[]", "x", '{"name": "a", "sha256": 1}'])
    def test_a_damaged_line_is_named(self, path, line):
        make(path)
        path.write_text(path.read_text() + line + "\n")
        for call in (lambda: read_tokens(path), lambda: make(path, "ben"), Access.from_environment):
            with pytest.raises(EgoReactError, match="line 2 is no token"):
                call()

    def test_what_is_not_there_cannot_be_revoked(self, path):
        with pytest.raises(EgoReactError, match="egoreact token list"):
            revoke_token(path, "anna")


class TestWhoIsLetIn:
    def test_without_tokens_everyone(self, path):
        access = Access.from_environment()
        assert access.open
        assert access.check(None) == ""
        for _ in range(1000):
            access.spend("")

    def test_with_tokens_who_shows_one(self, path):
        secret = make(path)
        access = Access.from_environment()
        assert access.check(f"Bearer {secret}") == access.check(f"bearer {secret}") == "anna"
        assert access.check(None, ["egoreact.v2", f"bearer.{secret}"]) == "anna"

    @pytest.mark.parametrize(
        "shown",
        [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "egoreact_x", "Bearer \udcff", "Bearer é"],
    )
    def test_nobody_else(self, path, shown):
        make(path)
        error = refused(Access.from_environment().check, shown)
        assert (error.status, error.close_code) == (401, 4401)

    def test_the_hash_is_no_secret(self, path):
        make(path)
        (token,) = read_tokens(path)
        assert refused(Access.from_environment().check, f"Bearer {token.sha256}").status == 401

    def test_a_change_counts_at_once(self, path):
        access = Access.from_environment()
        assert access.check(None) == ""
        anna = make(path)
        assert refused(access.check, None).status == 401
        ben = make(path, "ben")
        assert access.check(f"Bearer {ben}") == "ben"
        revoke_token(path, "anna")
        assert refused(access.check, f"Bearer {anna}").status == 401

    def test_it_never_opens_again(self, path):
        """Neither where the last token is revoked nor where the file is deleted."""
        secret = make(path)
        access = Access.from_environment()
        assert access.check(f"Bearer {secret}") == "anna"
        path.unlink()
        assert refused(access.check, None).status == 401
        assert refused(access.check, f"Bearer {secret}").status == 401
        make(path)
        revoke_token(path, "anna")
        assert refused(access.check, None).status == 401
        assert refused(Access.from_environment().check, None).status == 401

    def test_a_damaged_file_leaves_the_tokens_as_they_were(self, path):
        secret = make(path)
        access = Access.from_environment()
        assert access.check(f"Bearer {secret}") == "anna"
        path.write_text("damaged")
        assert access.check(f"Bearer {secret}") == "anna"
        assert refused(access.check, None).status == 401

    def test_a_named_file_must_be_there_and_closes_the_service_even_if_empty(self, path, monkeypatch):
        monkeypatch.setenv("EGOREACT_TOKENS", str(path.with_name("mine.jsonl")))
        with pytest.raises(EgoReactError, match=r"EGOREACT_TOKENS=.*mine.jsonl: no such file; .*token create"):
            Access.from_environment()
        path.with_name("mine.jsonl").touch()
        assert refused(Access.from_environment().check, None).status == 401


class TestRates:
    def test_a_minute_s_worth_then_when_to_come_back(self, path):
        now = [100.0]
        make(path, rate_per_minute=3)
        access = Access(path, clock=lambda: now[0])
        assert not access.open
        for _ in range(3):
            access.spend("anna")
        error = refused(access.spend, "anna")
        assert (error.status, error.close_code, error.retry_after_s) == (429, 1013, 20)
        now[0] += 19.9
        refused(access.spend, "anna")
        now[0] += 0.2
        access.spend("anna")
        refused(access.spend, "anna")
        now[0] += 3600
        for _ in range(3):
            access.spend("anna")
        refused(access.spend, "anna")

    def test_one_s_use_costs_no_other(self, path):
        for name in ("anna", "ben"):
            make(path, name, rate_per_minute=1)
        access = Access.from_environment()
        assert not access.open
        access.spend("anna")
        refused(access.spend, "anna")
        access.spend("ben")

    def test_sessions_at_a_time(self, path):
        make(path, sessions=2)
        access = Access.from_environment()
        assert not access.open
        with access.session("anna"), access.session("anna"):
            error = refused(access.session("anna").__enter__)
            assert (error.close_code, error.retry_after_s) == (1013, 5)
        with access.session("anna"), access.session(""):
            pass


class TestWhereItListens:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1"])
    def test_loopback_needs_no_token(self, path, host):
        require_tokens(host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "fe80::1", "lab.example", ""])
    def test_all_else_needs_one_that_counts(self, path, host):
        for prepare in (lambda: None, lambda: (make(path), revoke_token(path, "anna"))):
            prepare()
            with pytest.raises(EgoReactError, match=r"no token is set.*egoreact token create"):
                require_tokens(host)
        make(path, "ben")
        require_tokens(host)


class TestPages:
    def test_the_service_s_own_may_call(self, path):
        access = Access.from_environment()
        for host in ("127.0.0.1:3000", "localhost:3000", "[::1]:3000"):
            assert access.allows_origin(f"http://{host}", host)
        assert access.allows_origin(None, "127.0.0.1:3000")

    @pytest.mark.parametrize(
        "origin",
        ["https://elsewhere.example", "null", "", "http://127.0.0.1:3001", "http://[", "http://127.0.0.1:3000@x"],
    )
    def test_others_may_not(self, path, origin):
        assert not Access.from_environment().allows_origin(origin, "127.0.0.1:3000")

    def test_a_foreign_name_for_loopback_is_foreign_until_tokens_guard(self, path):
        """A site can point its own name at 127.0.0.1 and would then be of one origin with the service."""
        access = Access.from_environment()
        assert not access.allows_origin("http://evil.example:3000", "evil.example:3000")
        make(path)
        assert access.allows_origin("https://lab.example", "lab.example")

    def test_a_list_opens_it(self, path, monkeypatch):
        monkeypatch.setenv("EGOREACT_ALLOWED_ORIGINS", "https://lab.example, http://localhost:5173/")
        access = Access.from_environment()
        assert access.origins == ("https://lab.example", "http://localhost:5173")
        assert access.allows_origin("https://lab.example", "127.0.0.1:3000")
        assert not access.allows_origin("http://lab.example", "127.0.0.1:3000")

    @pytest.mark.parametrize("listed", ["*", "lab.example", "https://lab.example/page", "ftp://x", "https://"])
    def test_an_entry_that_is_no_origin_is_named(self, path, monkeypatch, listed):
        monkeypatch.setenv("EGOREACT_ALLOWED_ORIGINS", f"https://fine.example,{listed}")
        with pytest.raises(EgoReactError, match="EGOREACT_ALLOWED_ORIGINS"):
            Access.from_environment()


class TestCommands:
    def test_the_secret_is_shown_once(self, path, capsys):
        COMMANDS["token create"]("anna", rate_per_minute=7)
        shown = capsys.readouterr()
        secret = shown.out.strip()
        assert Access.from_environment().check(f"Bearer {secret}") == "anna"
        assert "only time" in shown.err
        COMMANDS["token list"]()
        COMMANDS["token revoke"]("anna")
        COMMANDS["token list"]()
        listed = capsys.readouterr().out
        assert secret not in listed
        assert listed.splitlines()[1].split()[0] == "anna" and "active" in listed.splitlines()[1]
        assert "revoked 2" in listed.splitlines()[-1]

    def test_an_empty_list_says_how_to_begin(self, path, capsys):
        COMMANDS["token list"]()
        assert "egoreact token create" in capsys.readouterr().out

    def test_by_the_command_line(self, path, tmp_path):
        def egoreact(*arguments):
            command = [sys.executable, "-m", "egoreact.cli", "token", *arguments]
            return subprocess.run(
                command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60
            )

        made = egoreact("create", "anna", "--rate-per-minute", "9", "--sessions", "1")
        assert made.returncode == 0, made.stderr
        assert read_tokens(path)[0].rate_per_minute == 9
        again = egoreact("create", "anna")
        assert again.returncode == 2
        assert len(again.stderr.splitlines()) == 1 and "revoke it first" in again.stderr


@pytest.mark.parametrize("by", ["egoreact", "bentoml"])
def test_open_to_others_without_a_token_it_does_not_start(tmp_path, by):
    bundle = tmp_path / "b"
    make_bundle(bundle)
    command = {
        "egoreact": [*serve_command(free_port()), "--host", "0.0.0.0"],
        "bentoml": [
            *(sys.executable, "-m", "bentoml", "serve", "serving.service:ReactionService"),
            *("--host", "0.0.0.0", "--port", str(free_port()), "--working-dir", str(ROOT)),
        ],
    }[by]
    settings = environment(
        tmp_path, EGOREACT_BUNDLE=bundle, BENTOML_HOME=tmp_path / "bentoml", BENTOML_DO_NOT_TRACK=True
    )
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=100)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "no token is set" in line]
    assert len(said) == 1, done.stdout + done.stderr
    assert "egoreact token create" in said[0]
    assert "Traceback" not in done.stdout + done.stderr
    if by == "egoreact":
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
