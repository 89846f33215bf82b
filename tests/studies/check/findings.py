"""What tests of `check` ask of its findings."""


def kinds(findings, kind):
    """The images of each finding of a kind, by folder and name."""
    return [sorted(path.rsplit("/", 2)[-2] + "/" + path.rsplit("/", 1)[-1] for path in finding.paths)
            for finding in findings.warnings if finding.kind == kind]  # fmt: skip
