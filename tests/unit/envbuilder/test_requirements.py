"""Requirements files are read as pip reads them; what lies in the code is a local package."""

from __future__ import annotations

import pytest

from dray.envbuilder.choice.requirements import Code, Wanted, read_files, read_lines
from dray.runtime.errors import PreparationFailed


def code(working_dir: str = ".", **files: str) -> Code:
    """Code whose files are given by name: two underscores are a slash, one is a dot."""
    texts = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    folders = {path.rpartition("/")[0] for path in texts} | {"."}
    return Code(texts.get, lambda path: path in texts or path in folders, working_dir)


def lines(*given: str, inside: Code | None = None) -> Wanted:
    return read_lines(given, inside or code())


def test_markers_hashes_and_options_of_a_requirement_stay() -> None:
    hashes = "b==2 \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\n"
    text = f'a==1 ; python_version < "3.12"  # why\n{hashes}'
    wanted = read_files(["r.txt"], code(r_txt=text))
    assert wanted.requirements == [
        'a==1 ; python_version < "3.12"',
        "b==2   --hash=sha256:aa   --hash=sha256:bb",
    ]


def test_files_name_files_beside_them_and_constraints_stay_apart() -> None:
    inside = code(
        sub__r_txt="a\n-r more.txt\n-climits.txt\n",
        sub__more_txt="b\n-r r.txt\n",
        sub__limits_txt="a<2\n",
    )
    wanted = read_files(["sub/r.txt"], inside)
    assert (wanted.requirements, wanted.constraints) == (["a", "b"], ["a<2"])


def test_options_are_known_in_every_spelling() -> None:
    wanted = lines(
        "-i https://one",
        "--extra-index-url=https://two",
        "--extra-index-url 'https://three'",
        "-f https://links",
        "--pre",
        "--no-binary :all:",
        "--trusted-host=corp",
        "--use-feature=fast-deps",
    )
    assert wanted.index_urls == ["https://one", "https://two", "https://three"]
    assert wanted.find_links == ["https://links"]
    assert wanted.flags == ["--pre", "--no-binary", ":all:", "--trusted-host", "corp"]


def test_an_option_nobody_knows_names_its_line() -> None:
    with pytest.raises(PreparationFailed, match=r"line 2 of r\.txt has '--upgrade-all'"):
        read_files(["r.txt"], code(r_txt="a\n--upgrade-all\n"))


@pytest.mark.parametrize(
    ("line", "path", "extras"),
    [
        ("./lib", "lib", ()),
        ("-e ./lib[train,test]", "lib", ("test", "train")),
        ("--editable=lib/x.whl", "lib/x.whl", ()),
        ("mine @ file:./lib", "lib", ()),
        ("mine[train] @ ./lib", "lib", ("train",)),
        ("mine @ file://${PROJECT_ROOT}/lib", "lib", ()),
        (".", ".", ()),
        (".[train]", ".", ("train",)),
        ("./lib ; python_version > '3'", "lib", ()),
    ],
)
def test_a_path_of_the_code_is_a_local_package(
    line: str, path: str, extras: tuple[str, ...]
) -> None:
    wanted = lines(line, inside=code(lib__pyproject_toml="", lib__x_whl=""))
    assert wanted.requirements == []
    assert wanted.local == {path: extras}


@pytest.mark.parametrize(
    "line",
    ["mine @ file:///opt/mine.whl", "/opt/mine.whl", "https://corp/mine-1.whl", "a/b", "mine"],
)
def test_everything_else_is_the_installers(line: str) -> None:
    assert lines(line).requirements == [line]


def test_paths_are_meant_from_the_file_or_the_working_directory_or_the_root() -> None:
    inside = code("work", sub__lib__x_py="", work__own__x_py="", top__x_py="", sub__r_txt="./lib")
    assert read_files(["sub/r.txt"], inside).local == {"sub/lib": ()}
    assert lines("./own", "./top", inside=inside).local == {"work/own": (), "top": ()}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("./gone", "not in the code that came along (looked for gone)"),
        ("../outside", "outside of the task's code"),
        ("-r gone.txt", "not in the code that came along"),
    ],
)
def test_a_path_that_is_not_there_says_where_it_was_looked_for(line: str, problem: str) -> None:
    with pytest.raises(PreparationFailed) as caught:
        lines(line)
    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-e git+https://h/a.git@v1#egg=a", "a @ git+https://h/a.git@v1"),
        ("git+https://h/a#egg=a&subdirectory=py", "a @ git+https://h/a#subdirectory=py"),
        ("git+https://h/a@main", "git+https://h/a@main"),
        ("a @ git+git@h.org:me/a.git@v1", "a @ git+ssh://git@h.org/me/a.git@v1"),
    ],
)
def test_git_urls_are_written_as_every_installer_reads_them(line: str, expected: str) -> None:
    assert lines(line).requirements == [expected]
