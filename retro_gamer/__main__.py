"""Lets ``python -m retro_gamer`` do what the command ``retro-gamer`` does; a job first looks at where it is."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["job"]:
        from retro_gamer.jobs.preflight import explain_lacks

        lacks = explain_lacks()
        if lacks is not None:
            sys.exit(f"Error: {lacks}")
    from retro_gamer.cli import main

    main()
