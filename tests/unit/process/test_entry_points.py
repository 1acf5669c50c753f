"""Entry points of distributions that are really on sys.path, on every Python."""

from __future__ import annotations

import sys

import pytest

from hf_openobserve.process import entry_points

GROUP = "hf_openobserve_tests"


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts distributions on sys.path: ``install("name", "entry = module:attribute")``, later ones behind earlier."""

    def install(name, *entries, group=GROUP):
        directory = tmp_path / name
        info = directory / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *entries, ""]))
        monkeypatch.setattr(sys, "path", [*sys.path, str(directory)])
        return directory

    return install


def test_a_group_nobody_declares_is_empty():
    assert entry_points.in_group(GROUP) == []
    assert entry_points.find(GROUP, "anything") is None


def test_all_entries_of_a_group_and_of_no_other(install):
    install("pkg_a", "one = json:loads", "two = json:dumps")
    install("pkg_b", "three = os:getcwd")
    install("pkg_c", "four = os:getpid", group=GROUP + "_other")
    assert sorted(entry_point.name for entry_point in entry_points.in_group(GROUP)) == ["one", "three", "two"]


def test_find_gives_the_one_of_that_name_and_it_loads(install):
    install("pkg_a", "one = json:loads", "two = json:dumps")
    found = entry_points.find(GROUP, "two")
    assert (found.name, found.value) == ("two", "json:dumps")
    assert found.load()({"a": 1}) == '{"a": 1}'
    assert entry_points.find(GROUP, "three") is None


def test_of_two_with_one_name_the_first_on_the_path_wins(install):
    install("pkg_z", "same = os:getcwd")
    install("pkg_a", "same = os:getpid")
    assert entry_points.find(GROUP, "same").value == "os:getcwd"
    assert [entry_point.value for entry_point in entry_points.in_group(GROUP)] == ["os:getcwd", "os:getpid"]


def test_a_name_is_found_in_its_own_group_only(install):
    install("pkg_a", "one = json:loads", group=GROUP + "_other")
    assert entry_points.find(GROUP, "one") is None
    assert entry_points.find(GROUP + "_other", "one").value == "json:loads"
