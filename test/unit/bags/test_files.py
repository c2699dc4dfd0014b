"""Which files a recording is made of: what is read is all of it, or the recording is refused by name."""

import itertools
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from backports import zstd
from rosbags.rosbag2 import StoragePlugin, Writer
from ruamel.yaml import YAML
from support.bags import copy_bag
from support.rewrite import rewrite

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.facts import custom_data
from kd_planner_ros.bags.files import bag_files
from kd_planner_ros.bags.messages import typestore
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.samples.shards import content_hash


@pytest.fixture(scope="module")
def mcap(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("files") / "bag", labels=False, seconds=4.0)


@pytest.fixture(scope="module")
def sqlite(mcap, tmp_path_factory):
    return rewrite(mcap, tmp_path_factory.mktemp("files") / "bag", storage="sqlite3")


def stamps(path):
    with open_bag(path) as recording:
        return [one.frame.stamp_ns for one in recording.samples()], recording


def edit(folder, change):
    yaml = YAML()
    facts = yaml.load((folder / "metadata.yaml").read_text())
    change(facts["rosbag2_bagfile_information"])
    with (folder / "metadata.yaml").open("w") as out:
        yaml.dump(facts, out)


def split(source, target, names):
    """The recording at ``source`` as files of these names, each with an equal part of its time; no metadata.yaml."""
    target.mkdir()
    total = sum(BagFile(source).counts.values())
    for number, name in enumerate(names):
        count = itertools.count()
        part = rewrite(source, target / f"part{number}", lambda topic, when, raw, c=count, n=number: raw
                       if next(c) * len(names) // total == n else None)
        next(part.glob("*.mcap")).rename(target / name)
        shutil.rmtree(part)
    return target


@pytest.mark.parametrize("storage, compression", [("mcap", ""), ("mcap", "message"), ("mcap", "file"), ("sqlite3", ""),
                                                  ("sqlite3", "message"), ("sqlite3", "file")])
def test_every_storage_and_compression_gives_the_same_samples(mcap, tmp_path, storage, compression):
    path = rewrite(mcap, tmp_path / "b", storage=storage, compression=compression)
    found, recording = stamps(path)
    assert (found, recording.notes, dict(recording.custom_data)) == (stamps(mcap)[0], [], dict(open_bag(mcap).custom_data))


@pytest.mark.parametrize("form", ["file", "message"])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_the_content_key_is_of_what_is_read(mcap, tmp_path, storage, form):
    """Two recordings have two keys, whatever their compression; a key of nothing there is not."""
    whole = rewrite(mcap, tmp_path / "a", storage=storage, compression=form)
    half = rewrite(mcap, tmp_path / "b", lambda topic, when, raw: raw if when < 3 * 10**9 else None, storage=storage, compression=form)
    assert content_hash(whole) != content_hash(half)
    edit(half, lambda facts: facts["relative_file_paths"].clear())
    with pytest.raises(BagError, match="data files in .*metadata.yaml; got none"):
        content_hash(half)
    with pytest.raises(BagError):
        content_hash(tmp_path)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_file_by_itself_and_a_folder_without_metadata_are_read(mcap, sqlite, tmp_path, storage, metadata):
    """With what the recorder noted, which lies in the file too."""
    folder = Path(shutil.copytree(mcap if storage == "mcap" else sqlite, tmp_path / "b"))
    if not metadata:
        (folder / "metadata.yaml").unlink()
    file = next(one for one in folder.iterdir() if one.suffix in (".mcap", ".db3"))
    for path in (folder, file):
        found, recording = stamps(path)
        assert found == stamps(mcap)[0] and recording.custom_data["map"] == "Town01"
        assert any("no metadata.yaml" in note for note in recording.notes) != metadata


def test_parts_are_read_in_the_order_of_time(mcap, tmp_path):
    """NAME_10 comes after NAME_9, and metadata.yaml may list the parts in any order."""
    names = [f"b_{number}.mcap" for number in range(11)]
    folder = split(mcap, tmp_path / "b", names)
    assert [one.name for one in BagFile(folder).files.files] == names
    assert stamps(folder)[0] == stamps(mcap)[0]
    shutil.copy(mcap / "metadata.yaml", folder)
    edit(folder, lambda facts: facts.update(relative_file_paths=sorted(names)))
    found, recording = stamps(folder)
    assert found == stamps(mcap)[0] and recording.notes == []


def test_files_of_several_recordings_are_not_one(mcap, tmp_path):
    folder = tmp_path / "b"
    folder.mkdir()
    for name in ("monday", "tuesday"):
        shutil.copy(mcap / "bag.mcap", folder / f"{name}.mcap")
    with pytest.raises(BagError, match="one recording at .*; got a folder of 2; name one of them, for example .*monday.mcap"):
        open_bag(folder)
    assert len(stamps(folder / "tuesday.mcap")[0]) == 8


# --- fewer messages than there should be -----------------------------------------------------------------------------------

@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_counts_that_the_files_do_not_fulfil_are_refused(mcap, sqlite, tmp_path, storage):
    folder = Path(shutil.copytree(mcap if storage == "mcap" else sqlite, tmp_path / "b"))

    def raise_one(facts):
        (odometry,) = (one for one in facts["topics_with_message_count"] if one["topic_metadata"]["name"].endswith("/odometry"))
        odometry["message_count"] += 7

    edit(folder, raise_one)
    with pytest.raises(BagError, match="87 messages on /carla/ego_vehicle/odometry in .*metadata.yaml says; got 80; .*reindex"):
        open_bag(folder)
    (folder / "metadata.yaml").unlink()  # the remedy
    assert len(stamps(folder)[0]) == 8


def test_more_messages_than_metadata_says_are_read_and_told(mcap, tmp_path):
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    edit(folder, lambda facts: [one.update(message_count=1) for one in facts["topics_with_message_count"]])
    found, recording = stamps(folder)
    assert found == stamps(mcap)[0] and any("messages more than metadata.yaml says" in note for note in recording.notes)


def test_a_part_that_is_missing_is_named(mcap, tmp_path):
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    edit(folder, lambda facts: facts["relative_file_paths"].append("bag_1.mcap"))
    with pytest.raises(BagError, match="no bag_1.mcap; copy them too"):
        open_bag(folder)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_log_that_holds_messages_is_refused_and_its_remedy_works(sqlite, tmp_path, journal):
    live, killed = Path(shutil.copytree(sqlite, tmp_path / "live")), tmp_path / "killed"
    link = sqlite3.connect(live / "bag.db3", isolation_level=None)
    link.execute(f"PRAGMA journal_mode={journal}")
    link.execute("PRAGMA wal_autocheckpoint=0")
    link.execute("PRAGMA cache_size=1")  # so that an open transaction is written through to the file
    link.execute("BEGIN")
    link.execute("UPDATE messages SET data = zeroblob(length(data)) WHERE id > 100")
    if journal == "wal":
        link.execute("ROLLBACK")
        link.execute("UPDATE messages SET timestamp = timestamp WHERE id > 100")
    shutil.copytree(live, killed)
    link.close()
    with pytest.raises(BagError, match=r"a finished sqlite3 file .*bag\.db3-(wal|journal) that are not in it yet; .*SELECT COUNT"):
        open_bag(killed)
    with sqlite3.connect(killed / "bag.db3") as mend:
        mend.execute("SELECT COUNT(*) FROM messages").fetchall()
    mend.close()
    assert stamps(killed)[0] == stamps(sqlite)[0]


def test_an_empty_or_ended_journal_is_no_log(sqlite, tmp_path):
    folder = Path(shutil.copytree(sqlite, tmp_path / "b"))
    (folder / "bag.db3-wal").touch()
    (folder / "bag.db3-journal").write_bytes(bytes(512))
    assert len(stamps(folder)[0]) == 8


def test_data_files_beside_those_that_are_read_are_told(mcap, tmp_path):
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    (folder / "bag.mcap.zstd").write_bytes(zstd.compress((folder / "bag.mcap").read_bytes()))
    shutil.copy(folder / "bag.mcap", folder / "bag_1.mcap")
    found, recording = stamps(folder)
    assert found == stamps(mcap)[0] and content_hash(folder) == content_hash(mcap)
    assert [note.split()[0] for note in recording.notes] == ["bag.mcap.zstd", "bag_1.mcap"]


# --- what nobody reads ----------------------------------------------------------------------------------------------------

def with_topic(source, target, definition, encoding="cdr", topic="/other/thing", kind="other_msgs/msg/Thing"):
    """The recording with one more topic whose definition and serialisation are as given."""
    file, connections = BagFile(source), {}
    with Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        other = writer.add_connection(topic, kind, msgdef=definition, rihs01="RIHS01_" + "0" * 64, serialization_format=encoding)
        for name, when, raw in file.raw(file.kinds):
            if name not in connections:
                connections[name] = writer.add_connection(name, file.kinds[name], typestore=typestore())
            writer.write(connections[name], when, raw)
            writer.write(other, when, b"\0\1\0\0rest")
    return target


@pytest.mark.parametrize("definition", ["", "int32 a\n---\nint32 b\n", "no definition at all {", "missing_msgs/Part part\n",
                                        "std_msgs/Header header\n" + "=" * 80 + "\nMSG: std_msgs/Header\nint32 nothing\n"])
def test_definitions_of_topics_that_nobody_reads_do_not_matter(mcap, tmp_path, definition):
    path = with_topic(mcap, tmp_path / "b", definition)
    assert stamps(path)[0] == stamps(mcap)[0]


@pytest.mark.parametrize("kind", ["other_msgs/msg/Thing", "nav_msgs/msg/Odometry"])
def test_a_definition_that_is_needed_and_broken_is_named(mcap, tmp_path, kind):
    path = with_topic(rewrite(mcap, tmp_path / "a", lambda topic, _, raw: None if topic.endswith("/odometry") else raw), tmp_path / "b",
                      "no definition at all {", topic="/carla/ego_vehicle/odometry", kind=kind)
    with pytest.raises(BagError, match="whole recording in .* on /carla/ego_vehicle/odometry") as caught, open_bag(path) as recording:
        list(recording.messages([recording.topics.odometry]))
    assert "\n" not in str(caught.value)


def test_a_topic_of_another_serialisation_is_told(mcap, tmp_path):
    path = with_topic(mcap, tmp_path / "b", "int32 a\n", encoding="json")
    found, recording = stamps(path)
    assert found == stamps(mcap)[0]
    assert any("on /other/thing (other_msgs/msg/Thing) are not read: it is serialised by json" in note for note in recording.notes)


@pytest.mark.parametrize("name, content, named", [
    ("b.bag", b"#ROSBAG V2.0", "rosbags-convert"), ("b.mcap.zstd", b"x", "unpack it with 'zstd -d'"), ("notes.txt", b"x", "another kind")])
def test_files_of_other_kinds_have_a_remedy(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=named):
        open_bag(tmp_path / name)


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{", "rosbag2_bagfile_information: 5", "rosbag2_bagfile_information: {version: 9}",
                                  "rosbag2_bagfile_information: {relative_file_paths: 5}", "\0", "a: !!python/object:os.x {}"])
def test_a_broken_metadata_is_one_line_with_a_remedy_that_works(mcap, tmp_path, text):
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    (folder / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match="metadata.yaml that cannot be read.*delete metadata.yaml") as caught:
        open_bag(folder)
    assert "\n" not in str(caught.value)
    (folder / "metadata.yaml").unlink()
    assert len(stamps(folder)[0]) == 8


@pytest.mark.parametrize("text, said", [("~", {}), ("", {}), ("null", {}), ("{}", {}), ("{seed: 0619, on: yes, at: 12:30, none: ~}", {
    "seed": "0619", "on": "yes", "at": "12:30", "none": "~"})])
def test_what_the_recorder_noted_is_read_as_it_stands(mcap, tmp_path, text, said):
    """Readers of YAML make numbers, truth values and times of such texts; recorders write a null for nothing."""
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    whole = (folder / "metadata.yaml").read_text()
    begin, end = whole.index("  custom_data:"), whole.index("  duration:")
    (folder / "metadata.yaml").write_text(f"{whole[:begin]}  custom_data: {text}\n{whole[end:]}")
    assert custom_data(folder) == said == bag_files(folder).custom_data


def test_metadata_of_forty_topics_is_read_in_a_blink(mcap, tmp_path):
    """Every start of a training reads that of every recording; a YAML reader in Python takes ten times as long as this bound."""
    folder = Path(shutil.copytree(mcap, tmp_path / "b"))
    edit(folder, lambda facts: facts["topics_with_message_count"].extend([
        {"message_count": 0, "topic_metadata": {"name": f"/other/{n}", "type": "x", "offered_qos_profiles": [
            {"history": "keep_last", "depth": 10, "deadline": {"sec": 9223372036, "nsec": 854775807}}]}} for n in range(100)]))
    assert len(bag_files(folder).counts) > 100
    used = [_cpu_s(lambda: bag_files(folder)) for _ in range(3)]
    assert min(used) < 0.5 * _cpu_s(lambda: YAML(typ="safe", pure=True).load((folder / "metadata.yaml").read_text()))


def _cpu_s(work):
    begin = time.process_time()
    work()
    return time.process_time() - begin
