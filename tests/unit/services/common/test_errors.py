"""One table, both ways: whatever the server raises, the client raises again."""

from __future__ import annotations

import grpc
import pytest

from ramp import errors
from services.common.errors import STATUS, from_wire, status_of, to_wire

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RampError)]


def made(kind: type[errors.RampError]) -> errors.RampError:
    if kind is errors.OverQuota:
        return errors.OverQuota("mib_s", "64 MiB/s", "send less", 0.75)
    return kind("action", "nan", "send numbers") if issubclass(kind, errors.Invalid) else kind("what happened")


def test_every_error_of_the_tree_has_a_status() -> None:
    assert set(STATUS) == set(KINDS) - {errors.RampError, errors.OverQuota}
    assert status_of(made(errors.OverQuota)) is status_of(errors.Full("the disk"))


@pytest.mark.parametrize("kind", sorted({*STATUS, errors.OverQuota}, key=lambda kind: kind.__name__))
def test_an_error_comes_back_as_what_it_was(kind: type[errors.RampError]) -> None:
    error = made(kind)
    again = from_wire(to_wire(error))
    assert type(again) is kind
    assert str(again) == str(error)
    if isinstance(again, errors.Invalid):
        assert (again.field, again.value, again.remedy) == ("action", "nan", "send numbers")
    if isinstance(again, errors.OverQuota):
        assert (again.field, again.retry_after_s) == ("mib_s", 0.75)


def test_no_two_errors_share_a_status() -> None:
    assert len(set(STATUS.values())) == len(STATUS)


def test_an_error_outside_the_table_is_internal_and_may_be_tried_again() -> None:
    assert status_of(errors.RampError("odd")) is grpc.StatusCode.INTERNAL
    assert isinstance(from_wire(to_wire(errors.RampError("odd"))), errors.Unavailable)


def test_endless_texts_are_cut() -> None:
    assert to_wire(errors.Invalid("f" * 9999, "v" * 9999, "r" * 9999)).ByteSize() < 9000
