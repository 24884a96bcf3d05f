#!/usr/bin/env bash
# Every suite that this machine can run, the quick ones side by side. In CI (CI=true) a missing tool is a failure.
set -u -o pipefail
cd "$(dirname "$0")/.."
export TCP_NODELAY=1 # dcmtk: Nagle and delayed ACK cost ~50 ms an instance otherwise

missing=()
have() { # have TOOL PACKAGE SUITE
  command -v "$1" >/dev/null && return 0
  missing+=("$3 needs '$1': apt-get install $2")
  return 1
}
have_orthanc() { # Debian's, with the DICOMweb plugin: a peer in both directions
  PATH=$PATH:/usr/sbin have Orthanc "orthanc orthanc-dicomweb" "tests/e2e (clients)"
}
failed=()
run() { # run NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "── $name"
  "$@" || failed+=("$name")
  echo "── $name: $((SECONDS - start)) s"
}

run "unit, functional, contract" .venv/bin/pytest -q -n 2 --dist loadgroup tests/unit tests/fuzz tests/functional tests/contract
run "front end" npm --prefix frontend run --silent test
if have storescu dcmtk "tests/e2e (the edge)"; then
  suites=(tests/e2e)
  have_orthanc || suites+=(--ignore=tests/e2e/clients)
  have strace strace "tests/e2e/edge (a power cut)" || suites+=(--ignore=tests/e2e/edge/test_power_cut.py)
  have dciodvfy dicom3tools "tests/e2e/clients (what we return)" || suites+=(--ignore=tests/e2e/clients/test_dciodvfy.py)
  run "e2e" .venv/bin/pytest -q -n 2 --dist loadfile -m "not browser" "${suites[@]}"
fi
have chromium chromium "tests/e2e/browser" && run "browser" .venv/bin/pytest -q -m browser tests/e2e
run "deploy" .venv/bin/pytest -q tests/deploy

if ((${#missing[@]})); then
  printf '\nNot run, since something is missing here:\n'
  printf '  %s\n' "${missing[@]}"
  [ "${CI:-}" = true ] && failed+=("missing tools")
fi
if ((${#failed[@]})); then
  printf '\nFailed: %s\n' "${failed[*]}"
  exit 1
fi
printf '\nAll suites passed.\n'
