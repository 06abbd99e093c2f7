"""What of a node's configuration of pip reaches the pip of an environment."""

from __future__ import annotations

from pathlib import Path

from dray.envbuilder.builders.pipconfig import pip_variables
from dray.envbuilder.spec import EnvironmentSpec
from dray.envbuilder.tools.secrets import Secrets

LISTING = """\
:env:.target='/elsewhere'
:env:.timeout='9'
global.extra-index-url='https://two/simple https://three/simple'
global.index-url='https://one/simple'
global.user='true'
install.find-links='/wheels'
install.no-deps='true'
install.timeout='5'
"""


def of(spec: EnvironmentSpec, *, node: str = LISTING) -> dict[str, str]:
    found = pip_variables({"HOME": "/h", "PIP_TARGET": "/elsewhere"}, node, spec, Secrets())
    return {name: value for name, value in found.items() if name.startswith("PIP_")}


def test_it_learns_how_packages_are_reached_and_nothing_else() -> None:
    found = of(EnvironmentSpec())
    assert found.pop("PIP_CONFIG_FILE") == "/dev/null"
    assert found == {
        "PIP_INDEX_URL": "https://one/simple",
        "PIP_EXTRA_INDEX_URL": "https://two/simple https://three/simple",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_TIMEOUT": "9",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }


def test_indexes_of_the_task_take_the_place_of_the_nodes() -> None:
    found = of(EnvironmentSpec(index_urls=("https://mine/simple", "https://more/simple")))
    assert found["PIP_INDEX_URL"] == "https://mine/simple"
    assert found["PIP_EXTRA_INDEX_URL"] == "https://more/simple"


def test_an_empty_first_index_is_the_nodes_own() -> None:
    found = of(EnvironmentSpec(index_urls=("", "https://more/simple")))
    assert found["PIP_INDEX_URL"] == "https://one/simple"
    assert found["PIP_EXTRA_INDEX_URL"].split()[-1] == "https://more/simple"


def test_links_come_on_top_and_folders_of_the_code_are_found() -> None:
    spec = EnvironmentSpec(find_links=("./wheels", "https://x/page"), code=Path("/code"))
    assert of(spec)["PIP_FIND_LINKS"] == "/wheels /code/wheels https://x/page"


def test_builds_of_pytorch_come_from_their_own_index() -> None:
    found = of(EnvironmentSpec(torch_backend="cu128"), node="")
    assert found["PIP_EXTRA_INDEX_URL"] == "https://download.pytorch.org/whl/cu128"


def test_secrets_are_filled_in() -> None:
    spec = EnvironmentSpec(index_urls=("https://me:${TOKEN}@x/simple",))
    found = pip_variables({}, "", spec, Secrets({"TOKEN": "a/b"}))
    assert found["PIP_INDEX_URL"] == "https://me:a%2Fb@x/simple"
