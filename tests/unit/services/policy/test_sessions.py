"""Which version an episode began with."""

from __future__ import annotations

from services.policy.sessions import Sessions

ARM = ("arm-7", "arm-7")


def test_an_episode_sees_one_version() -> None:
    sessions = Sessions()
    begun = sessions.version(ARM, start=True, current=1, loaded=(1,))
    later = sessions.version(ARM, start=False, current=2, loaded=(1, 2))
    again = sessions.version(ARM, start=True, current=2, loaded=(1, 2))

    assert (begun, later, again) == (1, 1, 2)


def test_a_session_that_nobody_knows_begins_with_what_is_served() -> None:
    assert Sessions().version(ARM, start=False, current=3, loaded=(3,)) == 3


def test_an_episode_whose_version_is_gone_goes_on_with_the_present_one_and_keeps_it() -> None:
    sessions = Sessions()
    sessions.version(ARM, start=True, current=1, loaded=(1,))

    assert sessions.version(ARM, start=False, current=4, loaded=(2, 3, 4)) == 4
    assert sessions.version(ARM, start=False, current=5, loaded=(3, 4, 5)) == 4


def test_the_same_name_of_another_client_is_another_session() -> None:
    sessions = Sessions()
    sessions.version(ARM, start=True, current=1, loaded=(1,))

    assert sessions.version(("arm-8", "arm-7"), start=False, current=2, loaded=(1, 2)) == 2


def test_whoever_was_silent_longest_is_forgotten() -> None:
    sessions = Sessions(most=2)
    for name in ("a", "b", "c"):
        sessions.version(("robot", name), start=True, current=1, loaded=(1,))

    found = [sessions.version(("robot", name), start=False, current=2, loaded=(1, 2)) for name in ("b", "a")]

    assert found == [1, 2]
