"""Makes ``python -m retro_gamer`` the command ``retro-gamer``. A job first checks the node it runs on."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["job"]:
        from retro_gamer.jobs.preflight import describe_missing

        missing = describe_missing()
        if missing is not None:
            sys.exit(f"Error: {missing}")
    from retro_gamer.cli import main

    main()
