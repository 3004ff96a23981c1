"""A real Kubernetes on this machine for the tests, built from Go modules, without Docker or systemd.

`python -m tests.lab build|up|down|status` is the way in. Everything the lab makes on the machine has a name of its own (`k8sfw`,
`k8s-fw-…`, `/sys/fs/cgroup/…/k8s-fw`, `/run/fairway-lab`), so that it can be found and removed even if the process that
made it was killed.
"""
