"""The development harness: environment, servers, demo and test run. Never part of the wheel.

- `environment.py`: makes .venv (standard library only: it runs before anything is installed)
- `choice.py`: which server, read from the environment: a pure function
- `values.py`: the values handed around: key pairs, servers, policies
- `processes.py`: child processes, signals, ports, readiness
- `minio_server.py`: MinIO, in a container or as a binary, and its users
- `moto_server.py`: moto as a stand-in that checks signatures and policies
- `servers.py`: starts the one that was chosen
- `demo.py`: the main job on real input, with a server for it (scripts/demo)
- `demo_job.py`: that job alone, also for a package or a program that lies elsewhere
- `vendor.py`, `vendor_pyz.py`: copies of the package, and all of it in one file (scripts/vendor)
- `suite.py`: the test suite with branch coverage (scripts/test)
- `matrix.py`: the tests on every Python, with old libraries and new (scripts/matrix)
"""
