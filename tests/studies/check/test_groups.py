from keras_transfer.data.inspection.findings import Finding
from keras_transfer.studies.check.groups import grouped


def finding(kind, *paths):
    return Finding(kind, list(paths), kind)


def shape(findings):
    return [
        (group.finding.kind, "".join(group.finding.paths), [lesser.kind for lesser in group.lesser])
        for group in grouped(findings)
    ]


def test_a_pair_is_shown_once_under_the_gravest_finding():
    findings = [
        finding("unreadable", "x"),
        finding("leak", "a", "b"),
        finding("label-conflict", "a", "b"),
        finding("label-conflict", "c", "d"),
        finding("suspicious-label", "b"),
        finding("suspicious-label", "e"),
        finding("duplicate", "a", "b"),
        finding("duplicate", "c", "d"),
        finding("duplicate", "e", "f"),
        finding("few"),
        finding("tiny", "a"),
    ]
    assert shape(findings) == [
        ("unreadable", "x", []),
        ("leak", "ab", ["label-conflict", "suspicious-label", "duplicate"]),
        ("label-conflict", "cd", ["duplicate"]),
        ("suspicious-label", "e", []),
        ("duplicate", "ef", []),
        ("few", "", []),
        ("tiny", "a", []),
    ]


def test_equal_pictures_are_part_of_those_that_hardly_differ():
    findings = [
        finding("label-conflict", "a", "b"),
        finding("label-conflict", "a", "b", "c"),
        finding("duplicate", "a", "b"),
        finding("near-duplicate", "a", "b", "c"),
        finding("near-duplicate", "c", "d"),
    ]
    assert shape(findings) == [
        ("label-conflict", "abc", ["label-conflict", "duplicate", "near-duplicate"]),
        ("near-duplicate", "cd", []),
    ]
