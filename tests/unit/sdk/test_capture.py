"""What is captured of the user's code: repository, diff, entry point, packages."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dray.sdk.capture import checkout
from dray.sdk.capture import packages as capture_packages
from dray.sdk.capture.captured import Captured, Entry, Wishes, capture
from tests.unit.sdk.repositories import Repository


def captured(repository: Repository, name: str = "train.py", cwd: Path | None = None) -> Captured:
    return capture(Entry(repository.root / name), cwd or repository.root)


def applied(captured: Captured, repository: Repository, to: Path) -> Path:
    """A clone at the captured commit with the captured diff applied, as an agent makes it."""
    subprocess.run(["git", "clone", "-q", repository.root, to], check=True)
    subprocess.run(["git", "checkout", "-q", captured.execution["commit"]], cwd=to, check=True)
    subprocess.run(["git", "apply"], input=captured.execution["diff"].encode(), cwd=to, check=True)
    return to


class TestRepository:
    def test_commit_branch_and_remote_are_captured(self, repository: Repository) -> None:
        repository.git("remote", "add", "origin", "https://me:secret@example.org/team/proj.git")
        found = captured(repository)
        assert found.execution["commit"] == repository.git("rev-parse", "HEAD")
        assert found.execution["branch"] == "main"
        assert found.execution["repository"] == "https://example.org/team/proj.git"
        assert found.project == "proj"
        assert found.warnings == []

    def test_the_branch_it_follows_is_the_branch_of_the_remote(
        self, repository: Repository
    ) -> None:
        repository.git("remote", "add", "up", "git@example.org:team/proj.git")
        repository.git("checkout", "-q", "-b", "mine")
        repository.git("config", "branch.mine.remote", "up")
        repository.git("config", "branch.mine.merge", "refs/heads/feature/x")
        found = captured(repository).execution
        assert (found["branch"], found["repository"]) == (
            "feature/x",
            "git@example.org:team/proj.git",
        )

    def test_a_detached_head_has_no_branch(self, repository: Repository) -> None:
        repository.git("checkout", "-q", "--detach")
        assert captured(repository).execution["branch"] == ""

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("https://token@example.org/a.git", "https://example.org/a.git"),
            ("https://me:pw@example.org:8443/a.git", "https://example.org:8443/a.git"),
            ("ssh://git:pw@example.org/a.git", "ssh://git@example.org/a.git"),
            ("git@example.org:team/a.git", "git@example.org:team/a.git"),
            ("/srv/git/a.git", "/srv/git/a.git"),
        ],
    )
    def test_credentials_are_stripped(self, url: str, kept: str) -> None:
        assert checkout.without_credentials(url) == kept

    def test_before_the_first_commit_the_diff_holds_the_code(self, tmp_path: Path) -> None:
        fresh = Repository(tmp_path / "fresh").write(train_py="print(1)\n")
        fresh.git("add", "train.py")
        found = captured(fresh)
        assert found.execution["commit"] == ""
        assert "+print(1)" in found.execution["diff"]
        assert "no commit yet" in found.warnings[0]

    def test_outside_git_the_diff_adds_the_script_and_its_modules(self, tmp_path: Path) -> None:
        (tmp_path / "train.py").write_text("import local\nprint(1)")
        (tmp_path / "local.py").write_text("X = 1\n")
        (tmp_path / "other.py").write_text("never imported\n")
        found = capture(Entry(tmp_path / "train.py"), tmp_path)
        target = tmp_path / "agent"
        target.mkdir()
        subprocess.run(
            ["git", "apply"], input=found.execution["diff"].encode(), cwd=target, check=True
        )
        assert not found.in_git
        assert (target / "train.py").read_text() == "import local\nprint(1)"
        assert sorted(p.name for p in target.iterdir()) == ["local.py", "train.py"]

    def test_a_missing_git_program_is_one_warning(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        code = (
            "from pathlib import Path\nfrom dray.sdk.capture.captured import Entry, capture\n"
            f"c = capture(Entry(Path({str(repository.root / 'train.py')!r})), Path.cwd())\n"
            "print(c.warnings)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("['repository not captured: git is not usable here")

    def test_an_interactive_session_is_said_to_have_no_code(self, tmp_path: Path) -> None:
        assert "no script" in capture(Entry(None), tmp_path).warnings[0]


class TestDiff:
    def test_staged_and_unstaged_changes_of_tracked_files_apply_to_the_commit(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        repository.write(a_py="a\n", b_py="b\n").commit()
        repository.write(a_py="staged\n", new_py="staged too\n")
        repository.git("add", "-A")
        repository.write(b_py="unstaged\n", untracked_py="not in the diff\n")
        clone = applied(captured(repository), repository, tmp_path / "clone")
        assert (clone / "a.py").read_text() == "staged\n"
        assert (clone / "b.py").read_text() == "unstaged\n"
        assert (clone / "new.py").read_text() == "staged too\n"
        assert not (clone / "untracked.py").exists()

    @pytest.mark.parametrize(
        "settings",
        [
            {"diff.noprefix": "true"},
            {"diff.mnemonicPrefix": "true"},
            {"diff.external": "false", "color.ui": "always", "color.diff": "always"},
            {"diff.context": "0", "diff.interHunkContext": "9", "diff.relative": "true"},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_the_users_diff_settings_do_not_matter(
        self, repository: Repository, tmp_path: Path, settings: dict[str, str]
    ) -> None:
        for key, value in settings.items():
            repository.git("config", "--global", key, value)
        repository.write(train_py="print('two')\n")
        found = captured(repository)
        assert found.warnings == []
        clone = applied(found, repository, tmp_path / "clone")
        assert (clone / "train.py").read_text() == "print('two')\n"

    @pytest.mark.parametrize(
        "content",
        [b"\x00\x01binary\xff", "caf\xe9 in latin-1\n".encode("latin-1"), b"dos\r\nlines\r\n"],
        ids=["binary", "latin-1", "crlf"],
    )
    def test_any_bytes_survive(
        self, repository: Repository, tmp_path: Path, content: bytes
    ) -> None:
        (repository.root / "data.txt").write_bytes(b"before \xe8\n")
        repository.commit()
        (repository.root / "data.txt").write_bytes(content)
        clone = applied(captured(repository), repository, tmp_path / "clone")
        assert (clone / "data.txt").read_bytes() == content

    def test_a_huge_diff_is_a_warning(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dray.sdk.capture.captured.DIFF_LIMIT_BYTES", 100)
        repository.write(train_py="x" * 200)
        found = captured(repository)
        assert "diff" not in found.execution
        assert "execute_remotely" in found.warnings[0]


class TestPlace:
    def test_the_working_directory_is_where_the_user_stood(self, repository: Repository) -> None:
        repository.write(jobs__train_py="pass\n", other__x_py="pass\n").commit()
        found = captured(repository, "jobs/train.py", repository.root / "other").execution
        assert (found["working_dir"], found["entry_point"]) == ("other", "../jobs/train.py")

    def test_standing_outside_the_repository_means_its_top(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        found = captured(repository, "train.py", tmp_path).execution
        assert (found["working_dir"], found["entry_point"]) == (".", "train.py")

    def test_a_module_run_is_kept_as_such(self, repository: Repository) -> None:
        repository.write(pkg____init___py="", pkg__mod_py="").commit()
        entry = Entry(repository.root / "pkg/mod.py", "pkg.mod", ("--lr", "1"))
        found = capture(entry, repository.root).execution
        assert (found["working_dir"], found["entry_point"]) == (".", "-m pkg.mod")
        assert found["arguments"] == ["--lr", "1"]

    def test_the_python_version_is_major_and_minor(self, repository: Repository) -> None:
        expected = f"{sys.version_info.major}.{sys.version_info.minor}"
        assert captured(repository).execution["python_version"] == expected

    @pytest.mark.parametrize("arguments", [["train.py"], ["-m", "train"]])
    def test_the_entry_is_read_from_the_running_interpreter(
        self, repository: Repository, arguments: list[str]
    ) -> None:
        repository.write(
            train_py="from dray.sdk.capture.captured import entry_of_process\n"
            "e = entry_of_process()\nprint(e.script.name, e.module, e.arguments)\n"
        )
        done = subprocess.run(
            [sys.executable, *arguments, "--lr", "1"],
            cwd=repository.root,
            capture_output=True,
            text=True,
            check=True,
        )
        module = "train" if "-m" in arguments else ""
        assert done.stdout.strip() == f"train.py {module} ('--lr', '1')"


def version(name: str) -> str:
    return metadata.version(name)


class TestPackages:
    def packages(self, repository: Repository, text: str, **files: str) -> list[str]:
        repository.write(train_py=text, **files)
        found = captured(repository)
        assert found.warnings == []
        return found.execution["packages"]

    def test_imports_become_pinned_distributions(self, repository: Repository) -> None:
        found = self.packages(repository, "import yaml, json\nfrom psutil import Process\n")
        assert [line.lower() for line in found] == [
            f"psutil=={version('psutil')}",
            f"pyyaml=={version('pyyaml')}",
        ]

    def test_imports_of_local_modules_are_followed(self, repository: Repository) -> None:
        found = self.packages(
            repository,
            "from pkg.inner import thing\nimport lazy\n",
            pkg____init___py="",
            pkg__inner_py="from . import sibling\nfrom .deep.down import x\n",
            pkg__sibling_py="import psutil\n",
            pkg__deep____init___py="",
            pkg__deep__down_py="from ..other import y\n",
            pkg__other_py="import yaml\n",
            lazy_py="def f():\n    import rich\n",
        )
        names = [capture_packages.normal(line.partition("==")[0]) for line in found]
        assert names == ["psutil", "pyyaml", "rich"]

    def test_folders_that_the_script_adds_to_its_path_are_looked_in(
        self, repository: Repository
    ) -> None:
        found = self.packages(
            repository,
            "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'libs'))\n"
            "sys.path.append('more' + '/deep')\nimport ours, theirs\n",
            libs__ours_py="import psutil\n",
            more__deep__theirs_py="import yaml\n",
        )
        assert [line.lower() for line in found] == [
            f"psutil=={version('psutil')}",
            f"pyyaml=={version('pyyaml')}",
        ]

    def test_modules_nobody_imports_are_not_followed(self, repository: Repository) -> None:
        assert self.packages(repository, "x = 1\n", unused_py="import psutil\n") == []

    def test_missing_packages_type_checking_and_dray_are_left_out(
        self, repository: Repository
    ) -> None:
        text = (
            "from typing import TYPE_CHECKING\nimport dray\nfrom dray import Task\n"
            "try:\n    import not_installed_anywhere\nexcept ImportError:\n    import psutil\n"
            "if TYPE_CHECKING:\n    import yaml\nelse:\n    import rich\n"
        )
        assert self.packages(repository, text) == [
            f"psutil=={version('psutil')}",
            f"rich=={version('rich')}",
        ]

    def test_dray_installed_in_place_costs_no_search(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(capture_packages, "_distributions_by_module", pytest.fail)
        text = "import dray, psutil\nfrom dray.automation import Monitor\n"
        assert self.packages(repository, text) == [f"psutil=={version('psutil')}"]

    def test_a_namespace_is_resolved_by_the_dotted_name(self, repository: Repository) -> None:
        if "protobuf" not in metadata.packages_distributions().get("google", []):
            pytest.skip("no namespace package is installed")
        found = self.packages(repository, "from google.protobuf import message\n")
        assert found == [f"protobuf=={version('protobuf')}"]

    def test_an_installed_environment_inside_the_repository_is_not_local(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = repository.root / ".venv/lib/site-packages"
        (site / "vendored").mkdir(parents=True)
        (site / "vendored/__init__.py").write_text("import psutil\n")
        monkeypatch.syspath_prepend(str(site))
        (line,) = self.packages(repository, "import vendored\n")
        assert line.startswith("# vendored: imported by train.py")

    def fake_install(
        self, site: Path, name: str, direct_url: str = "", version: str = "1.0"
    ) -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"{name}\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        if direct_url:
            (info / "direct_url.json").write_text(direct_url)

    def test_a_vcs_install_is_named_with_its_commit(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fake_install(
            tmp_path / "site",
            "fromgit",
            '{"url": "https://u:p@example.org/x.git", "subdirectory": "py",'
            ' "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
        )
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        assert self.packages(repository, "import fromgit\n") == [
            "fromgit @ git+https://example.org/x.git@abc#subdirectory=py"
        ]

    def test_the_users_own_project_installed_in_place_is_not_listed(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fake_install(
            tmp_path / "site",
            "own",
            f'{{"url": "{repository.root.as_uri()}", "dir_info": {{"editable": true}}}}',
        )
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        assert self.packages(repository, "import own\n") == []

    def test_local_version_labels_are_dropped(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fake_install(tmp_path / "site", "torchlike", version="2.1.0+cu118")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        assert self.packages(repository, "import torchlike\n") == ["torchlike==2.1.0"]

    def test_what_storage_needs_is_listed_though_nobody_imports_it(
        self, repository: Repository
    ) -> None:
        pytest.importorskip("fsspec")
        line = f"fsspec=={metadata.version('fsspec')}"
        repository.write(train_py="from dray import StorageManager\n")
        assert captured(repository).execution["packages"] == [line]
        repository.write(train_py="from dray import Task\nTask.init(output_uri='memory://b')\n")
        assert captured(repository).execution["packages"] == [line]
        repository.write(train_py="print('https://example.org')\n")
        assert captured(repository).execution["packages"] == []

    def test_forced_lines_replace_detected_ones(self, repository: Repository) -> None:
        repository.write(train_py="import psutil\n")
        wishes = Wishes(forced={"PsUtil": "psutil>=6", "extra": "extra==1"})
        found = capture(Entry(repository.root / "train.py"), repository.root, wishes)
        assert found.execution["packages"] == ["extra==1", "psutil>=6"]

    def test_a_freeze_lists_the_whole_environment_without_dray(
        self, repository: Repository
    ) -> None:
        wishes = Wishes(freeze=True)
        found = capture(Entry(repository.root / "train.py"), repository.root, wishes)
        lines = found.execution["packages"]
        assert f"psutil=={version('psutil')}" in lines
        assert not [line for line in lines if line.startswith("dray")]

    @pytest.mark.parametrize(
        ("asked", "line"),
        [
            (("psutil", None), f"psutil=={version('psutil')}"),
            (("psutil", ">=5"), "psutil>=5"),
            (("psutil", "6.0"), "psutil==6.0"),
            (("nowhere", None), "nowhere"),
            (("psutil", ""), "psutil"),
            (("x", "@ git+https://e/x"), "x @ git+https://e/x"),
        ],
    )
    def test_add_requirements_forms(self, asked: tuple[str, str | None], line: str) -> None:
        assert capture_packages.forced_line(*asked) == line


def test_nothing_is_left_behind_in_the_repository(repository: Repository) -> None:
    captured(repository)
    assert repository.git("status", "--porcelain") == ""
    assert sorted(os.listdir(repository.root)) == [".git", "train.py"]
