"""The development harness: environment, servers, demo and test run. Never part of the wheel.

- `environment.py`: makes .venv (standard library only: it runs before anything is installed)
- `choice.py`: which server, read from the environment: a pure function
- `values.py`: the values handed around: key pairs, servers, policies
- `processes.py`: child processes, signals, ports, readiness
- `minio_server.py`: MinIO, in a container or as a binary, and its users
- `moto_server.py`: moto as a stand-in that checks signatures and policies
- `servers.py`: starts the one that was chosen
- `demo.py`: the main job on real input (scripts/demo)
- `suite.py`: the test suite with branch coverage (scripts/test)
"""
