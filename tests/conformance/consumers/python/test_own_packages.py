from app import pulled


def test_the_projects_packages_are_its_own() -> None:
    assert pulled() == {"id": "the id", "text": "the text"}
