"""What a run's packages are guessed from, and how a guess that may be wrong is made visible."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from dray.sdk.capture.captured import Captured, Entry, capture
from tests.unit.sdk.repositories import Repository

PSUTIL = f"psutil=={version('psutil')}"


def captured(repository: Repository, text: str, **files: str) -> Captured:
    repository.write(train_py=text, **files)
    return capture(Entry(repository.root / "train.py"), repository.root)


def packages(repository: Repository, text: str, **files: str) -> list[str]:
    return captured(repository, text, **files).execution["packages"]


def install(site: Path, name: str, folder: Path) -> None:
    """A distribution that was installed from ``folder`` in place."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    (info / "RECORD").write_text(f"{name}.py,,\n")
    direct = f'{{"url": "{folder.as_uri()}", "dir_info": {{"editable": true}}}}'
    (info / "direct_url.json").write_text(direct)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    return tmp_path / "site"


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('psutil')\n",
        "from importlib import import_module as load, import_module\nimport_module('psutil')\n",
        "module = __import__('psutil')\n",
        "def later():\n    return __import__('psutil')\n",
        "match 1:\n    case 1:\n        import psutil\n",
        "try:\n    pass\nexcept OSError:\n    pass\nfinally:\n    import psutil\n",
    ],
)
def test_imports_that_are_made_by_calls_and_in_any_corner_are_found(
    repository: Repository, text: str
) -> None:
    assert packages(repository, text) == [PSUTIL]


def test_a_name_that_only_the_run_knows_is_not_guessed(repository: Repository) -> None:
    text = "import importlib, sys\nimportlib.import_module(sys.argv[1])\n__import__('no name')\n"
    assert packages(repository, text) == []


def test_what_a_call_needs_is_listed_though_nobody_imports_it(
    repository: Repository, site: Path
) -> None:
    install(site, "fastparquet", Path("/nowhere"))
    (site / "fastparquet.py").write_text("")
    assert packages(repository, "frame.to_parquet('x')\n") == ["fastparquet==1.0"]
    assert packages(repository, "frame.to_csv('x')\n") == []


def test_a_module_that_nothing_installed_provides_is_named_where_packages_are_edited(
    repository: Repository,
) -> None:
    found = packages(
        repository, "import ours.inner, psutil\n", ours__inner_py="import nowhere.to_be.found\n"
    )
    assert found == [
        "# nowhere: imported by ours/inner.py, and no installed package provides it",
        PSUTIL,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\n",
        "try:\n    import nowhere\nexcept (OSError, ModuleNotFoundError):\n    pass\n",
        "try:\n    from nowhere import x\nexcept:\n    x = None\n",
        "import importlib\nimportlib.import_module('nowhere')\n",
    ],
)
def test_a_module_that_the_script_can_do_without_is_not(repository: Repository, text: str) -> None:
    assert packages(repository, text) == []


def test_a_module_that_one_file_needs_is_named_though_another_can_do_without(
    repository: Repository,
) -> None:
    text = "try:\n    import nowhere\nexcept ImportError:\n    pass\nimport ours\n"
    (line,) = packages(repository, text, ours_py="import nowhere\n")
    assert line.startswith("# nowhere: imported by ")


def test_a_folder_of_the_code_without_an_init_file_is_the_users_own(repository: Repository) -> None:
    found = packages(repository, "from space import module\n", space__module_py="import psutil\n")
    assert found == [PSUTIL]


class TestInstalledInPlace:
    def other(self, tmp_path: Path) -> tuple[Repository, str]:
        other = Repository(tmp_path / "other").write(editable_py="")
        commit = other.commit()
        other.git("remote", "add", "origin", "git@example.org:t/other.git")
        other.git("update-ref", "refs/remotes/origin/main", "HEAD")
        return other, f"editable @ git+ssh://git@example.org/t/other.git@{commit}"

    def test_another_checkout_is_its_remote_and_commit(
        self, repository: Repository, tmp_path: Path, site: Path
    ) -> None:
        other, line = self.other(tmp_path)
        install(site, "editable", other.root)
        found = captured(repository, "import editable\n")
        assert (found.execution["packages"], found.warnings) == ([line], [])

    def test_changes_that_its_remote_lacks_are_told(
        self, repository: Repository, tmp_path: Path, site: Path
    ) -> None:
        other, line = self.other(tmp_path)
        install(site, "editable", other.root)
        other.write(editable_py="changed = True\n")
        found = captured(repository, "import editable\n")
        assert found.execution["packages"] == [line]
        (warning,) = found.warnings
        assert "changes that are not pushed" in warning
        assert str(other.root) in warning

    def test_a_folder_that_no_agent_can_read_is_told_with_the_way_out(
        self, repository: Repository, tmp_path: Path, site: Path
    ) -> None:
        (tmp_path / "plain").mkdir()
        install(site, "plain", tmp_path / "plain")
        found = captured(repository, "import plain\n")
        assert found.execution["packages"] == ["plain==1.0"]
        (warning,) = found.warnings
        assert "Task.add_requirements('plain'" in warning

    def test_the_folder_of_a_build_farm_is_no_matter(
        self, repository: Repository, site: Path
    ) -> None:
        install(site, "fromconda", Path("/home/conda/feedstock_root/build_artifacts/x"))
        found = captured(repository, "import fromconda\n")
        assert (found.execution["packages"], found.warnings) == (["fromconda==1.0"], [])
