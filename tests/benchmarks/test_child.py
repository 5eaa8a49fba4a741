from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.child import ChildFailedError, end_children, run_child
from benchmarks.processes import descendants, read_parents, sum_pss


def test_what_a_child_says_last_is_its_result() -> None:
    script = "from benchmarks.child import print_result\nprint('noise')\nprint_result({'a': 1})\nprint_result({'a': 2})"
    assert run_child([sys.executable, "-c", script], 60) == {"a": 2}


def test_a_child_that_says_nothing_fails_with_the_end_of_its_output() -> None:
    with pytest.raises(ChildFailedError, match=r"exit status 3\n(.|\n)*the reason"):
        run_child([sys.executable, "-c", "import sys; print('the reason'); sys.exit(3)"], 60)


def test_a_child_that_takes_too_long_is_ended() -> None:
    script = "print('begun', flush=True)\nwhile True: pass"
    with pytest.raises(ChildFailedError, match=r"no result after 1 s\nbegun"):
        run_child([sys.executable, "-c", script], 1)


def test_descendants_are_found_through_generations() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 99}
    assert sorted(descendants(2, parents)) == [2, 3, 4]
    assert read_parents().get(os.getpid(), os.getppid()) == os.getppid()


def test_memory_of_this_process_is_counted() -> None:
    size = sum_pss(os.getpid())
    assert size is None or size > 1_000_000


def test_children_that_other_threads_wait_for_can_be_ended(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    script = f"open({str(begun)!r}, 'w').close()\nwhile True: pass"
    failures: list[Exception] = []

    def wait() -> None:
        try:
            run_child([sys.executable, "-c", script], 60)
        except ChildFailedError as failure:
            failures.append(failure)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.read_text()  # returns once the child has opened it
    end_children()
    thread.join()
    assert "exit status -15" in str(failures[0])
