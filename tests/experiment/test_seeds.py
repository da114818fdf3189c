"""Seeds are the same everywhere, for ever: the numbers below must never change."""

import numpy as np

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.store.seeds import repeat_seed, repeat_seeds, task_seed


def test_seeds_are_fixed_for_all_time() -> None:
    assert [repeat_seed(0, repeat) for repeat in range(3)] == [426899337, 1983447018, 137201960]
    assert task_seed(1, b"key") == 1385817296


def test_seeds_fit_in_31_bits_and_differ() -> None:
    found = {repeat_seed(base, repeat) for base in (0, 1, -5) for repeat in range(2000)}
    assert len(found) == 6000
    assert min(found) >= 0
    assert max(found) <= 2**31 - 1


def test_whole_columns_of_repeats() -> None:
    repeats = np.array([2, 0, 0, 1, 2], dtype=np.int32)
    assert repeat_seeds(7, repeats).tolist() == [repeat_seed(7, r) for r in (2, 0, 0, 1, 2)]
    assert repeat_seeds(7, repeats).dtype == np.int64
    assert repeat_seeds(7, np.array([], dtype=np.int64)).tolist() == []


def test_a_task_seed_depends_on_base_and_key() -> None:
    assert len({task_seed(0, b"a"), task_seed(1, b"a"), task_seed(0, b"b"), repeat_seed(0, 0)}) == 4


def test_canonical_json_tells_types_apart_and_zeros_not() -> None:
    different: list[Value] = [True, 1, 1.0, "1", None, "true", [1], [1.0]]
    assert len({canonical(value) for value in different}) == len(different)
    assert canonical(-0.0) == canonical(0.0)
    assert canonical({"b": [-0.0], "a": 1}) == canonical({"a": 1, "b": [0.0]})
    assert canonical("é\n") == b'"\\u00e9\\n"'
