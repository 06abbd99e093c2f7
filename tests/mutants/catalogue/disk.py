"""The disk: what is acknowledged is there after a power cut, and only one server writes it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_DURABLE = "what is acknowledged survives a power cut"
_ATOMIC = "invariant 1"
_TESTS = "tests/contract/test_store_durable.py"
_RESTORED = f"{_TESTS}::test_what_is_restored_is_on_the_disk_and_so_is_what_it_replaced"
_BY_THE_SERVER = (
    "tests/unit/cli/test_backup.py::test_a_backup_by_the_server_is_on_the_disk_when_it_is_done"
)
_BEFORE_ITS_END = (
    "tests/contract/test_store_ingest.py"
    "::test_what_a_closed_attempt_put_out_is_on_the_disk_before_its_end_is"
)
_TOKEN = "tests/unit/runtime/test_tokens.py::test_a_token_is_on_the_disk_before_it_has_its_name"
_DATABASE = "runtime/store/database.py"
_DATABASE_TESTS = "tests/contract/test_store_database.py"

_OF_FILES = (
    Mutant(
        "sync-of-the-console",
        "Console bytes are acknowledged before they are on the disk.",
        _DURABLE,
        "runtime/store/console.py",
        "            os.fdatasync(descriptor)\n",
        "",
        (f"{_TESTS}::test_console_bytes_are_on_the_disk_before_they_are_acknowledged",),
    ),
    Mutant(
        "sync-of-the-consoles-folder",
        "The name of a new console file may be lost with all that was acknowledged of it.",
        _DURABLE,
        "runtime/store/console.py",
        "        if is_new:\n            sync_folder(path.parent)\n",
        "        _ = is_new\n",
        (f"{_TESTS}::test_console_bytes_are_on_the_disk_before_they_are_acknowledged",),
    ),
    Mutant(
        "sync-of-a-blob",
        "A blob is acknowledged before its bytes are on the disk.",
        _DURABLE,
        "runtime/store/blobs.py",
        "    os.fsync(file.fileno())\n    make_folder(place.parent)\n",
        "    make_folder(place.parent)\n",
        (f"{_TESTS}::test_a_blob_is_on_the_disk_before_it_is_acknowledged",),
    ),
    Mutant(
        "sync-of-a-batch",
        "A batch of blobs is acknowledged before its bytes are on the disk.",
        _DURABLE,
        "runtime/store/blobs.py",
        "                os.fsync(file.fileno())\n",
        "",
        (f"{_TESTS}::test_a_batch_of_blobs_is_on_the_disk_before_it_is_acknowledged",),
    ),
    Mutant(
        "sync-of-a-batchs-folders",
        "The names of a batch of blobs may be lost after it was acknowledged.",
        _DURABLE,
        "runtime/store/blobs.py",
        "            for _ in writers.map(sync_folder, folders):\n                pass\n",
        "",
        (f"{_TESTS}::test_a_batch_of_blobs_is_on_the_disk_before_it_is_acknowledged",),
    ),
    Mutant(
        "sync-of-a-blobs-folder",
        "The name of a new blob may be lost after it was acknowledged.",
        _DURABLE,
        "runtime/store/blobs.py",
        "    aside.replace(place)\n    sync_folder(place.parent)\n",
        "    aside.replace(place)\n",
        (f"{_TESTS}::test_a_blob_is_on_the_disk_before_it_is_acknowledged",),
    ),
    Mutant(
        "blob-appears-whole",
        "Part of a blob is served while the rest is on its way.",
        _ATOMIC,
        "runtime/store/blobs.py",
        '        aside = self._root / "incoming" / new_id()\n        file = await',
        "        aside = place\n        file = await",
        (
            "tests/contract/test_store_blobs.py::test_a_blob_written_in_pieces_is_there_under_its_hash",
        ),
    ),
    Mutant(
        "blob-is-what-was-announced",
        "Bytes that are not those that were announced are kept under their name.",
        _ATOMIC,
        "runtime/store/blobs.py",
        "            if writer.sha256 != sha256:\n",
        "            if not writer.sha256:\n",
        (
            "tests/contract/test_store_blobs.py"
            "::test_a_blob_with_another_hash_is_refused_and_not_kept",
        ),
    ),
    Mutant(
        "sync-of-folders",
        "No name of any file is made to survive a power cut.",
        _DURABLE,
        "runtime/folders.py",
        "os.O_RDONLY | os.O_DIRECTORY)\n    try:\n        os.fsync(descriptor)\n",
        "os.O_RDONLY | os.O_DIRECTORY)\n    try:\n        pass\n",
        (f"{_TESTS}::test_a_blob_is_on_the_disk_before_it_is_acknowledged",),
    ),
    Mutant(
        "sync-of-what-is-above",
        "The folder of a new file may be lost with the file.",
        _DURABLE,
        "runtime/folders.py",
        "        sync_folder(made.parent)\n",
        "        _ = made\n",
        (
            f"{_TESTS}::test_a_blob_is_on_the_disk_before_it_is_acknowledged",
            f"{_TESTS}::test_console_bytes_are_on_the_disk_before_they_are_acknowledged",
        ),
    ),
    Mutant(
        "sync-of-a-backup",
        "A backup is reported done before it is on the disk.",
        _DURABLE,
        "runtime/store/restore.py",
        "                os.fsync(file.fileno())\n",
        "",
        (f"{_TESTS}::test_a_backup_is_on_the_disk_when_it_is_done",),
    ),
    Mutant(
        "sync-of-a-backup-by-the-server",
        "A backup that comes from the server is reported done before it is on the disk.",
        _DURABLE,
        "sdk/cli/backup.py",
        "        os.fsync(file.fileno())\n",
        "",
        (_BY_THE_SERVER,),
    ),
    Mutant(
        "sync-of-what-is-restored",
        "The old store is moved away before the restored one is on the disk.",
        _DURABLE,
        "runtime/store/backup_format.py",
        "        os.fsync(file.fileno())\n",
        "",
        (_RESTORED,),
    ),
    Mutant(
        "sync-of-the-exchange",
        "A restore is reported done before its names are on the disk.",
        _DURABLE,
        "runtime/store/restore.py",
        "        sync_folder(home.root)\n",
        "",
        (_RESTORED,),
    ),
    Mutant(
        "sync-of-restored-names",
        "The names of restored files may be lost though the restore was reported done.",
        _DURABLE,
        "runtime/store/restore.py",
        "            sync_tree(aside)\n",
        "",
        (_RESTORED,),
    ),
    Mutant(
        "sync-of-what-was-replaced",
        "The store that a restore moved aside may be lost.",
        _DURABLE,
        "runtime/store/restore.py",
        "        sync_folder(kept)\n",
        "",
        (_RESTORED,),
    ),
    Mutant(
        "sync-of-a-backups-name",
        "The name of a backup may be lost though it was reported done.",
        _DURABLE,
        "sdk/cli/backup.py",
        "        sync_folder(target.parent)\n",
        "",
        (_BY_THE_SERVER,),
    ),
    Mutant(
        "sync-before-an-end",
        "Results of an attempt are lost in a power cut though its end is known.",
        _DURABLE,
        "runtime/store/ingest.py",
        "        await self._results.sync()\n",
        "",
        (_BEFORE_ITS_END,),
    ),
    Mutant(
        "sync-of-a-file",
        "What a database has in its log is called durable before it is.",
        _DURABLE,
        "runtime/folders.py",
        "        return\n    try:\n        os.fsync(descriptor)\n",
        "        return\n    try:\n        pass\n",
        (_BEFORE_ITS_END,),
    ),
    Mutant(
        "sync-of-the-tokens-name",
        "A token that clients were given may be another one after a power cut.",
        _DURABLE,
        "runtime/tokens.py",
        "        sync_folder(path.parent)\n",
        "",
        (_TOKEN,),
    ),
    Mutant(
        "sync-of-the-token",
        "The server's token may be empty after a power cut, and every client be refused.",
        _DURABLE,
        "runtime/tokens.py",
        "            os.fsync(file.fileno())\n",
        "",
        (_TOKEN,),
    ),
    Mutant(
        "sync-of-the-side-log",
        "The ground truth of a chaos is not on the disk before the task goes on.",
        "a chaos is judged by what really happened",
        "selftest/script.py",
        "        os.fsync(self._fd)\n",
        "",
        ("tests/unit/selftest/test_script.py::test_a_fact_is_on_the_disk_before_the_task_goes_on",),
    ),
)

_OF_DATABASES = (
    Mutant(
        "synchronous-full",
        "A commit that was acknowledged may be lost in a power cut.",
        _DURABLE,
        "runtime/store/store.py",
        'synchronous="FULL"',
        'synchronous="NORMAL"',
        (f"{_TESTS}::test_a_commit_of_the_state_waits_for_the_disk",),
    ),
    Mutant(
        "synchronous-is-set",
        "No commit waits for the disk, whatever was asked for.",
        _DURABLE,
        _DATABASE,
        'f"PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; "',
        '"PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; "',
        (f"{_TESTS}::test_a_commit_of_the_state_waits_for_the_disk",),
    ),
    Mutant(
        "begin-immediate",
        "Somebody else may write between what a transaction reads and what it writes.",
        _ATOMIC,
        _DATABASE,
        'connection.execute("BEGIN IMMEDIATE")',
        'connection.execute("BEGIN")',
        (f"{_DATABASE_TESTS}::test_nobody_writes_between_what_a_unit_reads_and_what_it_writes",),
    ),
    Mutant(
        "told-after-the-commit",
        "Writes are acknowledged before their transaction is committed.",
        _DURABLE,
        _DATABASE,
        '        connection.execute("COMMIT")\n',
        "        for outcome in outcomes:\n"
        "            waiting = outcome.waiting\n"
        "            waiting.future.get_loop().call_soon_threadsafe(outcome.settle)\n"
        '        connection.execute("COMMIT")\n',
        (f"{_DATABASE_TESTS}::test_a_commit_that_fails_is_acknowledged_to_nobody",),
    ),
    Mutant(
        "failed-unit-is-undone",
        "Half of what a refused step would have written stays.",
        _ATOMIC,
        _DATABASE,
        '        connection.execute("ROLLBACK TO unit")\n',
        "",
        (f"{_DATABASE_TESTS}::test_one_that_fails_in_a_group_undoes_only_itself",),
    ),
    Mutant(
        "undone-is-not-told",
        "Listeners hear of a change that was undone.",
        _ATOMIC,
        _DATABASE,
        "return _Outcome(waiting, error=error)",
        "return _Outcome(waiting, error=error, announced=announced)",
        (f"{_DATABASE_TESTS}::test_what_was_undone_is_told_to_nobody",),
    ),
    Mutant(
        "readers-cannot-write",
        "Something is written beside the one writer.",
        _ATOMIC,
        _DATABASE,
        "PRAGMA query_only = {int(read_only)};",
        "PRAGMA query_only = {int(read_only) * 0};",
        (f"{_DATABASE_TESTS}::test_readers_cannot_write",),
    ),
    Mutant(
        "data-folder-is-held",
        "Two servers write one store.",
        _ATOMIC,
        "runtime/store/holding.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        (f"{_DATABASE_TESTS}::test_a_second_server_is_refused_and_told_who_holds_the_folder",),
    ),
    Mutant(
        "restore-holds-the-folder",
        "A store is exchanged under a server that serves it.",
        _ATOMIC,
        "runtime/store/restore.py",
        "    holding = Holding.take(home.state_db.parent)\n    try:\n        if has_store",
        "    home.state_db.parent.mkdir(parents=True, exist_ok=True)\n"
        "    holding = Holding(os.open(os.devnull, os.O_RDONLY))\n    try:\n        if has_store",
        ("tests/contract/test_store_backup.py::test_a_store_is_replaced_by_force_only_and_kept",),
    ),
    Mutant(
        "half-restored-is-refused",
        "A server begins an empty store while one is being restored.",
        _ATOMIC,
        "runtime/store/store.py",
        "    if home.restoring.exists():\n",
        "    if home.restoring.exists() and not home.root.exists():\n",
        (
            "tests/contract/test_store_backup.py"
            "::test_an_exchange_that_was_broken_off_is_seen_and_done_again",
        ),
    ),
    Mutant(
        "migration-is-one-transaction",
        "A migration that fails leaves half of itself.",
        _ATOMIC,
        "runtime/store/migrate.py",
        'f"BEGIN IMMEDIATE;\\n{step.sql}\\nPRAGMA user_version = {step.version};\\nCOMMIT;"',
        'f"{step.sql}\\nPRAGMA user_version = {step.version};"',
        (f"{_DATABASE_TESTS}::test_a_migration_that_fails_leaves_the_file_as_it_was",),
    ),
    Mutant(
        "snapshot-before-a-migration",
        "A store is brought to a new schema without a copy from before.",
        "a newer Dray can be gone back from",
        "runtime/store/migrate.py",
        "        _snapshot(connection, path, version, snapshots)\n",
        "        pass\n",
        (f"{_DATABASE_TESTS}::test_a_migration_runs_after_a_snapshot_and_only_once",),
    ),
    Mutant(
        "newer-schema-is-refused",
        "A store of a newer Dray is opened and written.",
        _ATOMIC,
        "runtime/store/migrate.py",
        "    if version > newest:\n",
        "    if version > newest + version:\n",
        (f"{_DATABASE_TESTS}::test_a_newer_file_is_refused_and_left_as_it_is",),
    ),
)

MUTANTS = (*_OF_FILES, *_OF_DATABASES)
