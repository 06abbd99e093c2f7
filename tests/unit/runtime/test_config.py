"""Settings: who wins, what is said about mistakes, and that nothing is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dray.runtime.config import Settings, load
from dray.runtime.errors import InvalidInput


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A project folder two levels below one with a dray.toml, and a home of its own."""
    folder = tmp_path / "project" / "src"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "dray.toml").write_text('port = 3\nhost = "from-toml"\n')
    (tmp_path / ".config" / "dray").mkdir(parents=True)
    user = 'port = 4\nhost = "from-user"\nagent_idle_s = 7\n'
    (tmp_path / ".config" / "dray" / "config.toml").write_text(user)
    return folder


def env(place: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(place.parent.parent), **more}


def test_with_nothing_at_all_there_are_defaults(tmp_path: Path) -> None:
    loaded = load(environ={"HOME": str(tmp_path)}, directory=tmp_path)
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.warnings == []


def test_flags_win_over_environment_over_project_over_user(place: Path) -> None:
    loaded = load({"port": 1}, env(place, DRAY_PORT="2"), place)
    assert (loaded.settings.port, loaded.origins["port"]) == (1, "flag")
    loaded = load({"port": None}, env(place, DRAY_PORT="2"), place)
    assert (loaded.settings.port, loaded.origins["port"]) == (2, "DRAY_PORT")
    loaded = load({}, env(place), place)
    assert loaded.settings.port == 3
    assert loaded.origins["port"].endswith("dray.toml")
    assert (loaded.settings.host, loaded.settings.agent_idle_s) == ("from-toml", 7.0)


def test_a_pyproject_counts_only_with_our_table(place: Path) -> None:
    (place / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load({}, env(place), place).settings.port == 3
    (place / "pyproject.toml").write_text("[tool.dray]\nport = 5\n")
    loaded = load({}, env(place), place)
    assert loaded.settings.port == 5
    assert loaded.settings.host == "from-user", "the nearest project file is the only one"


def test_values_become_what_their_field_is(place: Path) -> None:
    given = env(place, DRAY_OFFLINE="yes", DRAY_LEASE_TTL_S="5", DRAY_HOME="~/x")
    settings = load({}, given, place).settings
    assert settings.offline is True
    assert settings.lease_ttl_s == 5.0
    assert settings.home.is_absolute()


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF", ""])
def test_words_for_no(place: Path, word: str) -> None:
    assert load({}, env(place, DRAY_OFFLINE=word), place).settings.offline is False


@pytest.mark.parametrize(
    ("name", "value"), [("DRAY_PORT", "x"), ("DRAY_OFFLINE", "maybe"), ("DRAY_LEASE_TTL_S", "")]
)
def test_a_value_of_another_type_is_refused_by_its_origin(
    place: Path, name: str, value: str
) -> None:
    with pytest.raises(InvalidInput, match=name):
        load({}, env(place, **{name: value}), place)


def test_a_setting_nobody_knows_is_told_with_what_it_may_mean(place: Path) -> None:
    loaded = load({}, env(place, DRAY_PROT="1", DRAY_TASK_ID="t"), place)
    (warning,) = loaded.warnings
    assert "DRAY_PROT" in warning
    assert "did you mean port?" in warning


def test_a_broken_file_is_named(place: Path) -> None:
    (place / "dray.toml").write_text("port = = 1")
    with pytest.raises(InvalidInput, match=r"dray\.toml is not valid TOML"):
        load({}, env(place), place)
