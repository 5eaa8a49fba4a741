"""Makes ``python -m retro_gamer`` the command ``retro-gamer``. A job first checks the node it runs on."""

import os
import sys

if __name__ == "__main__":
    if sys.path[:1] == [os.getcwd()]:
        # A game's `pickle.py` in the working directory must not replace the standard module.
        sys.path.pop(0)
        if os.path.dirname(os.path.dirname(os.path.abspath(__file__))) == os.getcwd():
            sys.path.append(os.getcwd())  # retro-gamer itself runs from there
    if sys.argv[1:2] == ["job"]:
        from retro_gamer.jobs.preflight import describe_missing

        missing = describe_missing()
        if missing is not None:
            sys.exit(f"Error: {missing}")
    from retro_gamer.cli import main

    main()
