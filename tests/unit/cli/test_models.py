"""``dray model``."""

from pathlib import Path

from tests.unit.cli.conftest import Cli, Server


def test_models_are_listed_shown_and_published(cli: Cli, server: Server) -> None:
    made = server.client.create_model(
        "digits", "net", tags=["best"], labels={"one": 1}, framework="PyTorch"
    )
    server.client.create_model("digits", "other")
    assert [row[1] for row in cli("model", "list", "--project", "digits").rows] == ["other", "net"]
    assert [row[1] for row in cli("model", "list", "--tag", "best").rows] == ["net"]
    assert ["one", "1"] in cli("model", "show", made.id[:8]).rows
    assert cli("model", "show", made.id, "--json").json["framework"] == "PyTorch"
    assert cli("model", "publish", made.id).out.strip() == f"{made.id} published"
    assert [row[1] for row in cli("model", "list", "--published").rows] == ["net"]


def test_a_published_model_is_deleted_only_by_force(cli: Cli, server: Server) -> None:
    made = server.client.create_model("digits", "net", published=True, uri="s3://bucket/net.pt")
    refused = cli("model", "delete", made.id)
    assert (refused.code, "--force" in refused.err or "force" in refused.err) == (2, True)
    answer = cli("model", "delete", made.id, "--force")
    assert (answer.code, "s3://bucket/net.pt" in answer.err) == (0, True)


def test_weights_are_downloaded(cli: Cli, server: Server, tmp_path: Path) -> None:
    sha256 = server.client.put_blob(b"weights")
    made = server.client.create_model("digits", "net", sha256=sha256, filename="net.pt")
    answer = cli("model", "download", made.id, "--to", str(tmp_path))
    assert Path(answer.out.strip()).read_bytes() == b"weights"
    bare = server.client.create_model("digits", "bare")
    assert cli("model", "download", bare.id).code == 2
